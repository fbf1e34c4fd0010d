"""Step 3, fit: the Trainer, its epochs, checkpoints and history."""
