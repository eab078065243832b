"""``python -m explorer``; see explorer/cli.py."""

import sys

from explorer.commands.main import main

if __name__ == "__main__":
    sys.exit(main())
