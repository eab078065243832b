"""Run the command line; see `explorer.commands.main`."""

import sys

from explorer.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
