"""The subcommands, a module for each; :mod:`lifecycle.cli.subcommands` has their table."""
