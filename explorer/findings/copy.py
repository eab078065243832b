"""A finding's own copy of a picture that is not its bundle's: an upload, or a composed scene.

The copy is small and says nothing of where the picture came from: it is encoded anew as WebP, its
long side at most `LONGEST` pixels, without the metadata of the file.
"""

from __future__ import annotations

import io

from PIL import Image

from explorer.errors import InputError
from explorer.findings.model import COPY_BYTES

LONGEST = 512
_QUALITIES = (90, 80, 65, 45)


def copy_of(picture: Image.Image) -> bytes:
    """Return the copy of an RGB picture: WebP of at most `COPY_BYTES`.

    Raises:
        InputError: when it is larger even at the least quality.
    """
    small = picture.convert("RGB")
    small.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    plain = Image.frombytes("RGB", small.size, small.tobytes())  # nothing but pixels
    for quality in _QUALITIES:
        buffer = io.BytesIO()
        plain.save(buffer, "WEBP", quality=quality, method=4)
        if buffer.tell() <= COPY_BYTES:
            return buffer.getvalue()
    raise InputError("This picture is too detailed to be kept with a finding: save a part of it.")


def opened(data: bytes) -> Image.Image:
    """Return a copy's picture: RGB.

    Raises:
        InputError: when it is none that `copy_of` could have made.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP",)) as picture:
            if max(picture.size) > LONGEST:
                raise InputError(
                    f"A finding's picture has {picture.width} × {picture.height} pixels; {LONGEST} "
                    "on the long side are allowed."
                )
            return picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise InputError("A finding's picture is damaged and cannot be shown.") from error
