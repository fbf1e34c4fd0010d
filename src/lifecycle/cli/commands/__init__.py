"""What one does with a run that was made: a module a verb, each with ``run(words)``; imported when it is asked for."""
