"""What MLflow's pages show of runs: their names, and which charts and columns come first."""
