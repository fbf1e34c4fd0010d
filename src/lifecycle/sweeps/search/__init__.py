"""Searches: sweeps whose jobs Optuna suggests one after the other. Only the module ``study`` imports Optuna."""
