"""MLflow: records runs and finds them again."""
