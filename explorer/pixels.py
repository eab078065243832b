"""What any picture file must go through before its pixels mean the same everywhere.

Which kinds are read, each by one decoder; what to say of the common ones that are not; greys of
more than 8 bits scaled; colours in sRGB, as models were trained on; transparent parts on white.
"""

from __future__ import annotations

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError, features

from explorer.errors import InputError, brief

ALWAYS = {
    "JPEG": ("jpg", "jpeg"),
    "PNG": ("png",),
    "WEBP": ("webp",),
    "GIF": ("gif",),
    "BMP": ("bmp",),
    "TIFF": ("tif", "tiff"),
}
HEIC = {"HEIF": ("heic", "heif")}
"""Read where the plug-in `pillow-heif` is installed."""
OTHERS = ("heic", "heif", "jxl")
"""Suffixes of common kinds that may not be read; each gets a sentence of its own."""
MAX_PIXELS = 64_000_000  # larger pictures are not decoded: a decoder's memory must stay bounded
HEAD = 32  # bytes that tell a file's kind
ROWS = 256  # that are held as floats at once
BLANK = 24  # frames of an animation that are looked at for one that shows something
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Orientation in EXIF -> what undoes it."""
_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_JPEG_XL = (b"\xff\x0a", b"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a")


def _kinds() -> dict[str, tuple[str, ...]]:
    found = dict(ALWAYS)
    if features.check("avif"):
        found["AVIF"] = ("avif",)
    with suppress(ImportError):
        from pillow_heif import register_heif_opener

        register_heif_opener()
        found |= HEIC
    return found


KINDS = _kinds()
"""Pillow's name of each kind that is read -> its files' suffixes."""
FORMATS = tuple(KINDS)
SUFFIXES = tuple(suffix for suffixes in KINDS.values() for suffix in suffixes)
NAMED = tuple(dict.fromkeys((*SUFFIXES, *OTHERS)))
"""Suffixes of kinds that are read, or refused in a sentence of their own."""
NAMES = (
    ", ".join("WebP" if kind == "WEBP" else kind for kind in FORMATS[:-1]) + f" or {FORMATS[-1]}"
)


def open_picture(file: Path | io.BytesIO) -> Image.Image:
    """Return a picture as it is meant to be seen: upright, in sRGB, of an animation one frame.

    Raises:
        ValueError: when it is of a kind that is not read, is damaged, or has too many pixels.
        OSError: when it cannot be read.
    """
    try:
        return _decoded(file)
    except UnidentifiedImageError as error:
        raise ValueError(str(refusal(_head(file)))) from error
    except (OSError, ValueError, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever a damaged file leads them to
        raise ValueError(f"The picture cannot be decoded ({brief(error)})") from error


def _decoded(file: Path | io.BytesIO) -> Image.Image:
    picture = Image.open(file, formats=FORMATS)
    if picture.width * picture.height > MAX_PIXELS:
        raise ValueError(f"{picture.width} x {picture.height} pixels are more than {MAX_PIXELS:,}")
    first_shown(picture)
    picture.load()
    turn = turn_of(picture)
    return to_srgb(to_8_bits(picture.copy() if turn is None else picture.transpose(turn)))


def _head(file: Path | io.BytesIO) -> bytes:
    if isinstance(file, io.BytesIO):
        return file.getvalue()[:HEAD]
    with file.open("rb") as stream:
        return stream.read(HEAD)


def refusal(data: bytes) -> InputError:
    """Return what to say of a file that no decoder takes, by its first bytes."""
    if data.startswith(_JPEG_XL):
        return InputError(f"JPEG XL pictures are not read: save it as {NAMES}.")
    if data[4:8] == b"ftyp" and data[8:12] in _HEIC_BRANDS:
        return InputError(
            "HEIC pictures are read only where the plug-in is installed (pip install pillow-heif): "
            f"save it as {NAMES}, as phones do on sharing."
        )
    return InputError(f"The file is not a readable picture: choose a {NAMES}.")


def turn_of(picture: Image.Image) -> Image.Transpose | None:
    """Return what makes a loaded picture upright, by its EXIF; None where that says nothing.

    Damaged EXIF says nothing either. TIFF is turned by its decoder.
    """
    try:
        return _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except MemoryError:
        raise
    except Exception:  # whatever damaged EXIF leads its reader to
        return None


def first_shown(picture: Image.Image) -> None:
    """Seek the first frame of an animation that shows more than one colour; else the first."""
    if picture.format not in _ANIMATED or not getattr(picture, "is_animated", False):
        return
    for frame in range(min(BLANK, getattr(picture, "n_frames", 1))):
        picture.seek(frame)
        if to_rgb(picture).getcolors(1) is None:
            return
    picture.seek(0)


def to_srgb(picture: Image.Image) -> Image.Image:
    """Return a picture whose colours are sRGB: converted where it carries another profile.

    A profile that is damaged, or made for another kind of pixels, says nothing.
    """
    profile = picture.info.get("icc_profile")
    if not profile:
        return picture
    if picture.mode in ("P", "PA"):
        clear = picture.mode == "PA" or "transparency" in picture.info
        picture = picture.convert("RGBA" if clear else "RGB")
    target = {"RGBA": "RGBA", "RGB": "RGB", "CMYK": "RGB", "L": "RGB"}.get(picture.mode)
    if target is None:
        return picture
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(own).startswith("sRGB"):
            return picture
        converted = ImageCms.profileToProfile(
            picture, own, ImageCms.createProfile("sRGB"), outputMode=target
        )
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture
    return converted or picture


def to_rgb(image: Image.Image) -> Image.Image:
    """Return `image` in RGB; transparent parts, in whatever mode, are laid on white."""
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        if image.mode == "La":
            image = image.convert("LA")
        picture = image.convert("RGBA")
        ground = Image.new("RGBA", picture.size, "white")
        ground.alpha_composite(picture)
        return ground.convert("RGB")
    return image.convert("RGB")


def to_8_bits(picture: Image.Image) -> Image.Image:
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
