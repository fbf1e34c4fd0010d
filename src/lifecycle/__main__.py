"""The command, as ``python -m lifecycle``."""

import sys

from lifecycle.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
