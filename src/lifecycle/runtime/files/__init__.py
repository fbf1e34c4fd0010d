"""Files of this machine: digests, room on a disk, locks and paths."""
