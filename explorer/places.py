"""Where things outside the package lie: in a checkout of the repository, or installed.

A checkout has the app's files and the bundles beside the package. An installed package carries the
app's files in `explorer/site`; bundles are looked for in the folder that it is used in.
"""

from __future__ import annotations

import os
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
INSTALLED = PACKAGE / "site"
CHECKOUT = None if INSTALLED.is_dir() else PACKAGE.parent
APP = (CHECKOUT or INSTALLED) / "app.py"
BUNDLES = (CHECKOUT or Path.cwd()) / "precomputed"
BUNDLES_VARIABLE = "EXPLORER_BUNDLES"
SHIPPED = "picto"
WHERE_SHIPPED = (
    f"The demo bundle is not in the package: it is the folder precomputed/{SHIPPED} of the source "
    "repository."
)


def bundles_folder() -> Path:
    """Return the folder that bundles are looked for in; `EXPLORER_BUNDLES` names another."""
    return Path(os.environ.get(BUNDLES_VARIABLE) or BUNDLES)
