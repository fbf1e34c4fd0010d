"""Step 1: build a network from a plugin and a DataSpec."""
