"""Look: the pictures and tables of a finished run, each a file that shows without a network or another program."""
