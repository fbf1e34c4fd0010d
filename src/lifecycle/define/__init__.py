"""Step 1: from a plugin and a DataSpec to a network."""
