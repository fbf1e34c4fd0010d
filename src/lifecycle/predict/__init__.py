"""Step 5: a trained model: load, save, predict, forecast, export, serve."""
