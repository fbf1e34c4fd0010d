"""Tables that do not fit into memory: read in blocks, kept on disk."""
