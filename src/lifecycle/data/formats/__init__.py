"""File formats of rows: CSV, JSON, Parquet and streams of them."""
