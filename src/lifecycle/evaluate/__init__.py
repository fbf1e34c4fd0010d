"""Step 4, evaluate: scores, their confidence intervals, and baselines."""
