"""The built-in data plugins: table, images, series, array."""
