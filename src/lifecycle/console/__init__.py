"""What a run prints: progress and results."""
