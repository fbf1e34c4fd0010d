"""Small public data sets that are shipped with the package."""
