"""What runs have recorded and their database does not have yet, on the local disk."""
