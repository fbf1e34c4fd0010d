"""Step 4: scores, their confidence intervals, and baselines."""
