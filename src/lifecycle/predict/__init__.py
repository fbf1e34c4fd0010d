"""Step 5, predict: trained models, saved, loaded, exported and served; predictions and forecasts."""
