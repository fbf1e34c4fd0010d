"""Step 2: compile a network with a loss, an optimizer, a schedule and metrics."""
