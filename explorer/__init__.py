"""Read the neurons of CLIP through their second-order effects.

    from explorer import Bundle, SecondOrderLens, batch_omp
    from explorer.build import BuildSettings, build

The first line's names are imported when they are first asked for, so that the command line and the
app's pages don't load torch for them; `explorer.build` is a package, with the function in it.

Axis names, used in every signature, docstring and einsum of this package:
`image layer neuron path token embed text`. A *path* is one attention head of one later
block; *embed* is the joint text-image space.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.build.settings import BuildSettings
    from explorer.bundle import Bundle
    from explorer.decompose import batch_omp
    from explorer.lens import SecondOrderLens

__version__ = "0.1.0"
__all__ = ["BuildSettings", "Bundle", "SecondOrderLens", "batch_omp"]

_PLACES = {
    "BuildSettings": "explorer.build.settings",
    "Bundle": "explorer.bundle",
    "SecondOrderLens": "explorer.lens",
    "batch_omp": "explorer.decompose",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    """Return the names of the package, with the public ones."""
    return sorted({*globals(), *__all__})
