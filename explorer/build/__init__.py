"""Build a bundle: images + texts + model -> directions, sparse sets, top images.

1. Pictures: copied or shrunk into the bundle's store, which fixes each image's number.
2. Pass: one forward pass over the images in a seeded random order. Every layer's statistics are
   streamed in path coordinates (`explorer.describe.directions`), so memory does not grow with the
   images. The state is saved now and then and on Ctrl-C; the same command continues from there and
   ends with the same arrays.
3. Texts: embedded, centred, indexed.
4. Description: orthogonal matching pursuit of every direction, polysemy, neighbours.
5. Seal: hashes and the manifest, last, so that an unfinished folder never opens as a bundle.

On one machine the same settings and inputs give the same arrays, bit for bit.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.build.run import build
    from explorer.build.settings import BuildSettings
    from explorer.resumable import Interrupted

__all__ = ["BuildSettings", "Interrupted", "build"]

_PLACES = {
    "build": "explorer.build.run",
    "BuildSettings": "explorer.build.settings",
    "Interrupted": "explorer.resumable",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for: settings are read without torch."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
