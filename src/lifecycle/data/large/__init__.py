"""Tables that do not fit into memory: read in blocks, stored on disk."""
