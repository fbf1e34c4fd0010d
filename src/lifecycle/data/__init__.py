"""Data: sources of raw rows, kinds that turn rows into samples, splits, preprocessing and batches."""
