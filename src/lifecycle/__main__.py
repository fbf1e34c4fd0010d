"""The command, as ``python -m lifecycle``."""

from lifecycle.cli.main import command

if __name__ == "__main__":
    command()
