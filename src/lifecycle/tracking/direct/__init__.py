"""Records runs by SQL in a local database, without MLflow, whose import takes as long as a short run."""
