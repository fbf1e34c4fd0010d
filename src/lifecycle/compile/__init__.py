"""Step 2: loss, optimizer, schedule and metrics around a network."""
