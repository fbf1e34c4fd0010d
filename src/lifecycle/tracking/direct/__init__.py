"""Records a run by SQL in a local database: MLflow, whose import takes as long as a short run, is not needed."""
