"""Warnings about the data: categories not seen in training, rounded numbers."""
