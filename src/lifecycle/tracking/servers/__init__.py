"""Copies runs to an MLflow server, or from one."""
