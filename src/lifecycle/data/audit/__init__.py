"""What a user should know of the data: categories never trained on, rounded numbers."""
