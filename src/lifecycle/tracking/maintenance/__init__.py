"""Care of a folder of runs: what can be removed from it, and whether it is in order."""
