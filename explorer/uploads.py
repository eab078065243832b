"""Pictures from outside: checked before they are decoded, and turned into plain RGB.

A file is untrusted. Its bytes are counted, its kind is read from its contents (six kinds are
taken, each by one decoder), and its pixels are counted from the header, all before anything is
decoded. Whatever a decoder raises afterwards becomes one sentence.

1. JPEG is decoded at the least scale that still has enough pixels; other kinds whole.
2. The orientation in EXIF is applied; damaged EXIF is ignored.
3. 16-bit, 32-bit and floating-point greys are scaled to 8 bits, not cut off.
4. CMYK and palettes become RGB; transparent parts are laid on white.
5. What is larger than `LONGEST_SIDE` is reduced; the size as it came is kept beside it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from explorer.errors import InputError
from explorer.models import to_rgb

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff")
MAX_BYTES = 10_000_000
MAX_PIXELS = 36_000_000
LONGEST_SIDE = 2048
_NAMES = "JPEG, PNG, WebP, GIF, BMP or TIFF"


@dataclass(frozen=True)
class Upload:
    """A picture from outside, ready for the lens."""

    picture: Image.Image
    """RGB, its long side at most `LONGEST_SIDE` pixels."""
    size: tuple[int, int]
    """Width and height as the file shows them: oriented, not reduced."""
    kind: str
    """One of `FORMATS`. Of several frames or pages the first is taken."""


def decode(data: bytes) -> Upload:
    """Decode a picture file.

    Raises InputError, in one sentence, for a file that is too large, of another kind, damaged or
    cut short.
    """
    if not data:
        raise InputError(f"The file is empty: choose a {_NAMES} picture.")
    if len(data) > MAX_BYTES:
        raise InputError(
            f"The file has {len(data) / 1e6:.1f} MB: choose one of at most "
            f"{MAX_BYTES // 1_000_000} MB."
        )
    try:
        opened = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise _too_many_pixels("hundreds of millions of") from error
    except Exception as error:  # decoders raise whatever a damaged header leads them to
        raise InputError(f"The file is no picture that can be read: choose a {_NAMES}.") from error
    with opened:
        return _decode(opened)


def _decode(opened: Image.Image) -> Upload:
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(f"{width:,} x {height:,}")
    try:
        opened.draft(None, (LONGEST_SIDE, LONGEST_SIDE))
        opened.load()
        orientation = _orientation(opened)  # after loading: TIFF is turned by its decoder
        picture = to_rgb(_to_8_bits(opened))
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        if orientation in _TURNS:
            picture = picture.transpose(_TURNS[orientation])
    except Exception as error:  # as above
        raise InputError(
            f"The picture is damaged or cut short and cannot be decoded: choose another {_NAMES}."
        ) from error
    size = (height, width) if orientation in (5, 6, 7, 8) else (width, height)
    return Upload(picture, size, str(opened.format))


def _too_many_pixels(count: str) -> InputError:
    return InputError(
        f"The picture has {count} pixels: choose one of at most "
        f"{MAX_PIXELS // 1_000_000} million, or reduce it first."
    )


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(0x0112, 1))
    except Exception:  # damaged EXIF says nothing
        return 1


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _to_8_bits(picture: Image.Image) -> Image.Image:
    """Scale greys of more than 8 bits; leave every other mode as it is."""
    if not (picture.mode.startswith("I") or picture.mode == "F"):
        return picture
    values = np.nan_to_num(np.asarray(picture, np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    if picture.mode.startswith("I;16"):
        low, high = 0.0, 65535.0
    elif picture.mode == "F" and values.min() >= 0 and values.max() <= 1:
        low, high = 0.0, 1.0
    elif picture.mode == "I" and values.min() >= 0 and values.max() <= 65535:
        low, high = 0.0, 65535.0
    else:
        low, high = float(values.min()), float(values.max())
    scaled = (values - low) / max(high - low, np.finfo(np.float64).tiny) * 255
    return Image.fromarray(scaled.clip(0, 255).round().astype(np.uint8))
