"""The models of runs: their signature, their files and rows, and the versions that are registered of them."""
