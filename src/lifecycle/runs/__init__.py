"""What can be done with one run: execute, resume, rerun, score again."""
