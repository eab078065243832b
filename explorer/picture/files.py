"""What a segmented picture is saved as: overlays, label map, arrays, and how they were made."""

from __future__ import annotations

import io
import platform
import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from PIL import Image

from explorer.bundle import Bundle
from explorer.formats import file_stem
from explorer.picture import painting
from explorer.picture.segment import Segmentation
from explorer.picture.settings import FLOOR, SegmentSettings

_PACKAGES = ("torch", "open_clip_torch", "numpy", "pillow")


def overlay_file(
    picture: Image.Image, found: Segmentation, place: int, scale: str = "own", opacity: float = 0.8
) -> bytes:
    """Return one text's map over the picture as a PNG file."""
    strength = found.strengths(picture.size, scale)[place].numpy()
    return painting.encode(painting.paint(picture, strength, painting.colour_of(place), opacity))


def pictures_file(pictures: Mapping[str, Image.Image]) -> bytes:
    """Return one picture's PNG file; of several a zip with one each, numbered and named."""
    files = [painting.encode(picture) for picture in pictures.values()]
    if len(files) == 1:
        return files[0]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # PNG is compressed already
        for place, (name, data) in enumerate(zip(pictures, files, strict=True)):
            archive.writestr(f"{place + 1}-{file_stem(name, 'picture')}.png", data)
    return buffer.getvalue()


def mask_file(found: Segmentation, size: tuple[int, int] | None = None) -> bytes:
    """Return the label map as a palette PNG at the picture's own resolution."""
    return painting.encode(painting.label_picture(found.labels(size)))


def arrays_file(found: Segmentation, size: tuple[int, int] | None = None) -> bytes:
    """Return an .npz file: maps [text, row, column], grids, labels, texts; see `description`."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        texts=np.array(found.texts),
        maps=found.maps(size).numpy().astype(np.float32),
        grids=found.grids.numpy(),
        labels=found.labels(size),
    )
    return buffer.getvalue()


def description(
    bundle: Bundle,
    found: Segmentation,
    settings: SegmentSettings,
    size: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Return settings, versions and figures of a segmentation, ready for JSON.

    `size` is the picture's own, at which the label map is saved; overlays and arrays are at
    `maps_size`, to which a very large picture is reduced.
    """
    labels = found.labels()
    width, height = size or (found.framing.width, found.framing.height)
    return {
        "bundle": {
            "name": bundle.name,
            "created": bundle.manifest.created,
            "identity": bundle.manifest.identity,
        },
        "model": bundle.manifest.model,
        "size": [width, height],
        "maps_size": [found.framing.width, found.framing.height],
        "settings": {
            "method": settings.method,
            "layers": list(settings.maps.layers) if settings.maps.layers else "default",
            "neurons": settings.maps.neurons or "all",
            "refined": settings.maps.refine,
            "fine": settings.maps.fine,
            "fit": settings.fit,
            "windows": len(found.framing.windows),
            "threshold": found.threshold,
            "floor": FLOOR,
        },
        "texts": [
            {
                "text": text,
                "label": place + 1,
                "share": round(float((labels == place + 1).mean()), 5),
                "peak": round(float(found.grids[:, place].max()), 6),
                "sum": round(float(found.grids[:, place].sum()) / settings.maps.cells, 6),
                "ahead_of": round(found.confidence[place], 4),
                "doubtful": text in found.doubtful,
            }
            for place, text in enumerate(found.texts)
        ],
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
        },
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
