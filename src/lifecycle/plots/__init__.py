"""Pictures and tables of a finished run, in files that need no network connection."""
