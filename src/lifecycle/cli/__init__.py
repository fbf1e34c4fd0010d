"""The command line: parses it, dispatches to a command, prints, returns an exit code."""
