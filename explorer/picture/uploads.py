"""Pictures from outside: checked before they are decoded, and turned into plain RGB.

A file is untrusted. Its bytes are counted, its kind is read from its contents (the kinds of
`explorer.pixels` are taken, each by one decoder), and its pixels are counted from the header, all
before anything is decoded. Whatever a decoder raises afterwards becomes one sentence.

1. JPEG is decoded at the least scale that still has enough pixels; other kinds whole. Of an
   animation the first frame that shows something is taken.
2. The orientation in EXIF is applied; damaged EXIF is ignored.
3. 16-bit, 32-bit and floating-point greys are scaled to 8 bits, not cut off.
4. What is larger than `LONGEST_SIDE` is reduced; the size as it came is kept beside it.
5. Colours of an embedded profile become sRGB, CMYK and palettes RGB; transparent parts are laid on
   white.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from explorer.errors import InputError
from explorer.picture.settings import check_shape
from explorer.pixels import FORMATS, NAMES, first_shown, refusal, to_rgb, to_srgb

MAX_BYTES = 10_000_000
MAX_PIXELS = 36_000_000
LONGEST_SIDE = 2048
SIDEWAYS = (5, 6, 7, 8)  # orientations in EXIF
ROWS = 256  # that are held as floats at once


@dataclass(frozen=True)
class Upload:
    """A picture from outside, ready for the lens."""

    picture: Image.Image
    """RGB, its long side at most `LONGEST_SIDE` pixels."""
    size: tuple[int, int]
    """Width and height as the file shows them: oriented, not reduced."""
    kind: str
    """One of `explorer.pixels.FORMATS`. Of several pages the first is taken."""


def decode(data: bytes) -> Upload:
    """Decode a picture file.

    Raises:
        InputError: in one sentence, when the file is too large, of another kind, damaged or cut
            short.
    """
    if not data:
        raise InputError(f"The file is empty: choose a {NAMES} picture.")
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
        raise refusal(data) from error
    with opened:
        return _decode(opened)


def _decode(opened: Image.Image) -> Upload:
    width, height = opened.size
    if width * height > MAX_PIXELS:
        raise _too_many_pixels(f"{width:,} x {height:,}")
    if max(width, height) > LONGEST_SIDE:  # a smaller one is checked where it is framed
        check_shape((width, height))
    try:
        opened.draft(None, (LONGEST_SIDE, LONGEST_SIDE))
        first_shown(opened)
        opened.load()
        sideways = _turn(opened)  # after loading: TIFF is turned by its decoder
        picture = to_rgb(to_srgb(_reduced(_to_8_bits(opened))))
    except Exception as error:  # as above
        raise InputError(
            f"The picture is damaged or cut short and cannot be decoded: choose another {NAMES}."
        ) from error
    size = (height, width) if sideways else (width, height)
    return Upload(picture, size, str(opened.format))


def _too_many_pixels(count: str) -> InputError:
    return InputError(
        f"The picture has {count} pixels: choose one of at most "
        f"{MAX_PIXELS // 1_000_000} million, or reduce it first."
    )


def _turn(picture: Image.Image) -> bool:
    """Turn a picture as its EXIF says; return whether width and height changed places."""
    try:
        sideways = picture.getexif().get(ExifTags.Base.Orientation, 1) in SIDEWAYS
        ImageOps.exif_transpose(picture, in_place=True)
    except Exception:  # damaged EXIF says nothing
        return False
    return sideways


def _reduced(picture: Image.Image) -> Image.Image:
    """Reduce a picture, its alpha too, before copies of it are made in other modes."""
    if max(picture.size) <= LONGEST_SIDE:
        return picture
    if picture.mode in ("1", "P", "PA") or "transparency" in picture.info:
        clear = picture.mode in ("PA",) or "transparency" in picture.info
        picture = picture.convert("RGBA" if clear else "RGB")
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return picture


def _to_8_bits(picture: Image.Image) -> Image.Image:
    """Scale greys of more than 8 bits; leave every other mode as it is."""
    if not (picture.mode.startswith("I") or picture.mode == "F"):
        return picture
    values = np.asarray(picture)
    low, high = _range(picture.mode, values)
    scale = 255 / max(high - low, float(np.finfo(np.float32).tiny))
    grey = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), ROWS):  # a picture's worth of floats would take gigabytes
        band = _finite(values[top : top + ROWS])
        grey[top : top + ROWS] = ((band - low) * scale).clip(0, 255).round()
    return Image.fromarray(grey)


def _range(mode: str, values: NDArray[Any]) -> tuple[float, float]:
    """Return the values that become black and white."""
    if mode.startswith("I;16"):
        return 0.0, 65535.0
    bands = (_finite(values[top : top + ROWS]) for top in range(0, len(values), ROWS))
    ends = np.array([(band.min(), band.max()) for band in bands])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    full = 1.0 if mode == "F" else 65535.0
    return (0.0, full) if low >= 0 and high <= full else (low, high)


def _finite(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
