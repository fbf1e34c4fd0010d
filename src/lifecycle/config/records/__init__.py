"""What a run records of its request: the record, expressions in place of secrets, and the seal of its user."""
