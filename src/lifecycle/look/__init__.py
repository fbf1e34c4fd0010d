"""PACKAGE lifecycle.look."""
