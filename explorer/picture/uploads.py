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

from PIL import Image

from explorer.errors import InputError
from explorer.picture.settings import check_shape
from explorer.pixels import (
    FORMATS,
    NAMES,
    first_shown,
    refusal,
    to_8_bits,
    to_rgb,
    to_srgb,
    turn_of,
)

MAX_BYTES = 10_000_000
MAX_PIXELS = 36_000_000
LONGEST_SIDE = 2048
SIDEWAYS = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)
"""Turns after which width and height have changed places."""


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


def shown(picture: Image.Image) -> Image.Image:
    """Return any picture as RGB, its long side at most `LONGEST_SIDE` pixels."""
    return to_rgb(_reduced(picture))


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
        turn = turn_of(opened)
        picture = to_rgb(to_srgb(_reduced(to_8_bits(opened))))
        if turn is not None:
            picture = picture.transpose(turn)
    except Exception as error:  # as above
        raise InputError(
            f"The picture is damaged or cut short and cannot be decoded: choose another {NAMES}."
        ) from error
    size = (height, width) if turn in SIDEWAYS else (width, height)
    return Upload(picture, size, str(opened.format))


def _too_many_pixels(count: str) -> InputError:
    return InputError(
        f"The picture has {count} pixels: choose one of at most "
        f"{MAX_PIXELS // 1_000_000} million, or reduce it first."
    )


def _reduced(picture: Image.Image) -> Image.Image:
    """Reduce a picture, its alpha too, before copies of it are made in other modes."""
    if max(picture.size) <= LONGEST_SIDE:
        return picture
    if picture.mode in ("1", "P", "PA") or "transparency" in picture.info:
        clear = picture.mode in ("PA",) or "transparency" in picture.info
        picture = picture.convert("RGBA" if clear else "RGB")
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    return picture
