"""Step 3: the Trainer, its epochs, checkpoints and history."""
