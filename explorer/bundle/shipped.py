"""The bundle that ships with the repository; its cut-outs serve every other bundle's scenes."""

from __future__ import annotations

from functools import cache

from explorer import places
from explorer.bundle.pictures import TABLE, PictureStore

SHIPPED = places.BUNDLES / places.SHIPPED


@cache
def shipped_pictures() -> PictureStore | None:
    """Return the shipped pictures, opened once; None where they are not there."""
    return PictureStore.open(SHIPPED) if (SHIPPED / TABLE).is_file() else None
