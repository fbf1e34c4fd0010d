"""MLflow's SQLite database as a file: opening it, its tables, and what its errors mean. Imports no MLflow."""
