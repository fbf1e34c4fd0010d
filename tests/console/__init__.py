"""Tests of what a run prints."""
