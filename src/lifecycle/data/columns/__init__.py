"""The columns of a table: kinds, features, targets, times, weights, missing values."""
