"""Stores that were moved or copied, and runs that go from one store to another."""
