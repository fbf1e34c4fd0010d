"""Comparison of several runs, as tables and as an HTML page."""
