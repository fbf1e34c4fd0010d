"""Imports of large libraries: what most runs do not use is imported when it is used."""
