"""Pictures from outside: every kind comes out right, and no damaged file gets past one sentence."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import warnings
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, TiffImagePlugin, features

from explorer.errors import InputError
from explorer.picture import uploads
from explorer.picture.uploads import decode
from explorer.pixels import FORMATS, to_srgb

ROOT = Path(__file__).parents[2]

MUTATIONS = 2400


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def quadrants(width: int = 48, height: int = 32) -> Image.Image:
    """Red, green above; blue, white below: no orientation looks like another."""
    picture = Image.new("RGB", (width, height), "white")
    half = (width // 2, height // 2)
    picture.paste("red", (0, 0, *half))
    picture.paste("lime", (half[0], 0, width, half[1]))
    picture.paste("blue", (0, half[1], half[0], height))
    return picture


def corners(picture: Image.Image) -> list[tuple[int, ...]]:
    """Colours near the four corners, rounded to 0 or 255."""
    x, y = picture.width - 5, picture.height - 5
    pixels = [picture.getpixel(place) for place in ((4, 4), (x, 4), (4, y), (x, y))]
    return [tuple(255 * (value > 127) for value in pixel) for pixel in pixels]


RED, LIME, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
UPRIGHT = [RED, LIME, BLUE, WHITE]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_kind_is_read(kind: str) -> None:
    found = decode(encoded(quadrants(), kind))
    assert found.kind == kind
    assert found.size == found.picture.size == (48, 32)
    assert found.picture.mode == "RGB"
    assert corners(found.picture) == UPRIGHT


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(kind: str, orientation: int) -> None:
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # the file lies on its side: turned back on show
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = quadrants()
    if orientation in turns:
        stored = stored.transpose(turns[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decode(encoded(stored, kind, exif=exif))
    assert found.size == found.picture.size == (48, 32)
    assert corners(found.picture) == UPRIGHT


def test_alpha_lies_on_white() -> None:
    picture = quadrants().convert("RGBA")
    picture.putalpha(Image.new("L", picture.size, 0))
    for kind in ("PNG", "WEBP"):
        assert corners(decode(encoded(picture, kind, lossless=True)).picture) == [WHITE] * 4
    half = Image.new("LA", (20, 20), (0, 128))
    assert decode(encoded(half, "PNG")).picture.getpixel((9, 9)) == (127, 127, 127)


def test_palette_with_a_transparent_colour() -> None:
    picture = quadrants().quantize(8)
    assert corners(decode(encoded(picture, "PNG")).picture) == UPRIGHT
    blue = picture.getpixel((4, 28))
    found = decode(encoded(picture, "GIF", transparency=blue))
    assert corners(found.picture) == [RED, LIME, WHITE, WHITE]


def test_first_frame_of_an_animation() -> None:
    later = [Image.new("RGB", (48, 32), "black")] * 2
    for kind in ("GIF", "WEBP"):
        data = encoded(quadrants(), kind, save_all=True, append_images=later)
        assert corners(decode(data).picture) == UPRIGHT


def test_an_animation_that_begins_with_nothing_shows_its_first_picture() -> None:
    clear = Image.new("RGBA", (48, 32), (0, 0, 0, 0))
    for kind in ("GIF", "WEBP", "PNG"):
        data = encoded(clear, kind, save_all=True, append_images=[clear, quadrants()])
        assert corners(decode(data).picture) == UPRIGHT, kind
    blank = encoded(clear, "GIF", save_all=True, append_images=[clear.copy(), clear.copy()])
    assert corners(decode(blank).picture) == [WHITE] * 4


def test_avif_is_read_wherever_pillow_reads_it() -> None:
    assert ("AVIF" in FORMATS) == features.check("avif")
    if not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    assert corners(decode(encoded(quadrants(), "AVIF", quality=90)).picture) == UPRIGHT


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\x0a" + bytes(40), "JPEG XL pictures are not read: save it as JPEG"),
        (b"\x00\x00\x00\x0cJXL \x0d\x0a\x87\x0a" + bytes(40), "JPEG XL pictures are not read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a readable picture"),
    ],
)
def test_kinds_that_are_not_read_are_told_apart(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        decode(data)


def test_heic_is_read_where_the_plug_in_is_and_else_refused_with_its_name() -> None:
    assert ("HEIF" in FORMATS) == (find_spec("pillow_heif") is not None)
    code = (
        "import sys; sys.modules['pillow_heif'] = None\n"
        "from explorer.picture.uploads import decode\n"
        "try: decode(bytes.fromhex('00000018') + b'ftypheic' + bytes(40))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.startswith("InputError HEIC pictures are read only where the plug-in is")
    assert "pip install pillow-heif" in run.stdout
    assert run.stdout.count("\n") == 1


def swapped() -> bytes:
    """Return a profile of a made-up screen whose red is green: sRGB with two primaries swapped."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    tags = {bytes(data[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = tags[b"rXYZ"] + 4, tags[b"gXYZ"] + 4
    data[red : red + 8], data[green : green + 8] = data[green : green + 8], data[red : red + 8]
    at, length = struct.unpack(">II", data[tags[b"desc"] + 4 : tags[b"desc"] + 12])
    data[at : at + length] = data[at : at + length].replace(b"s\0R\0G\0B", b"o\0d\0d\0 ")
    return bytes(data)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP"])
def test_embedded_profiles_are_followed(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    found = decode(encoded(quadrants(), kind, icc_profile=swapped(), **options)).picture
    assert corners(found) == [LIME, RED, BLUE, WHITE]


def test_profiles_that_cannot_be_followed_say_nothing() -> None:
    for profile in (b"", b"no profile", swapped()[:200]):
        assert corners(decode(encoded(quadrants(), "PNG", icc_profile=profile)).picture) == UPRIGHT
    grey = encoded(Image.new("L", (30, 30), 77), "PNG", icc_profile=swapped())
    assert decode(grey).picture.getpixel((9, 9)) == (77, 77, 77)
    plain = quadrants()
    assert to_srgb(plain) is plain


def test_alpha_survives_a_profile() -> None:
    picture = quadrants().convert("RGBA")
    picture.putalpha(Image.new("L", picture.size, 0))
    found = decode(encoded(picture, "PNG", icc_profile=swapped())).picture
    assert corners(found) == [WHITE] * 4


@pytest.mark.parametrize(("width", "height"), [(10_000, 1), (1, 10_000)])
def test_a_line_is_refused_by_its_own_size(width: int, height: int) -> None:
    data = encoded(Image.new("RGB", (width, height)), "PNG")
    with pytest.raises(InputError, match=f"A picture of {width:,} x {height:,} pixels"):
        decode(data)


def test_cmyk() -> None:
    for kind in ("JPEG", "TIFF"):
        found = decode(encoded(quadrants().convert("CMYK"), kind))
        assert found.picture.mode == "RGB"
        assert corners(found.picture) == UPRIGHT


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_cut(kind: str) -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    found = decode(encoded(Image.fromarray(ramp), kind)).picture
    got = np.asarray(found.convert("L"))[0].astype(int)
    assert np.abs(got - np.arange(256)).max() <= 1


def test_floats_and_wide_integers_are_scaled() -> None:
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None].repeat(4, 0)
    for values in (
        ramp,
        7 * ramp - 3,
        (ramp * 65535).astype(np.int32),
        (ramp * 2e9).astype(np.int32),
    ):
        got = np.asarray(decode(encoded(Image.fromarray(values), "TIFF")).picture.convert("L"))[0]
        assert np.abs(got.astype(int) - np.arange(256)).max() <= 1
    broken = ramp.copy()
    broken[0, :3] = np.nan, np.inf, -np.inf
    assert decode(encoded(Image.fromarray(broken), "TIFF")).picture.size == (256, 4)


def test_large_pictures_are_reduced_and_their_size_kept() -> None:
    for kind in ("JPEG", "PNG"):
        found = decode(encoded(quadrants(5000, 3000), kind))
        assert found.size == (5000, 3000)
        assert max(found.picture.size) == uploads.LONGEST_SIDE
        assert corners(found.picture) == UPRIGHT


def test_bytes_are_counted_first() -> None:
    with pytest.raises(InputError, match="at most 10 MB"):
        decode(b"\x89PNG" + bytes(uploads.MAX_BYTES))
    with pytest.raises(InputError, match="empty"):
        decode(b"")


def _claims(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims any size."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(100))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(6001, 6000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_pixels_are_counted_before_decoding(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object, **options: object) -> None:
        raise AssertionError("the picture was decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", never)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        with pytest.raises(InputError, match="36 million"):
            decode(_claims(*size))


@pytest.mark.parametrize(
    "data",
    [
        b"just text",
        b"<svg xmlns='http://www.w3.org/2000/svg'></svg>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        encoded(quadrants(), "PPM"),
        encoded(quadrants(), "ICO"),
    ],
)
def test_other_kinds_are_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="not a readable picture"):
        decode(data)


def test_damaged_exif_is_ignored() -> None:
    data = encoded(quadrants(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert corners(decode(data).picture) == UPRIGHT


def originals() -> list[bytes]:
    """Small real files of every kind, mode and extra that has a parser of its own."""
    small = quadrants(16, 12)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = "pages"
    frames = [Image.new("RGB", (16, 12), colour) for colour in ("red", "blue")]
    alpha = small.convert("RGBA")
    alpha.putalpha(90)
    return [
        encoded(small, "JPEG", exif=exif),
        encoded(small, "JPEG", progressive=True),
        encoded(small.convert("CMYK"), "JPEG"),
        encoded(small, "PNG"),
        encoded(alpha, "PNG", exif=exif),
        encoded(small.quantize(4), "PNG", transparency=1),
        encoded(Image.fromarray(np.arange(192, dtype=np.uint16).reshape(12, 16)), "PNG"),
        encoded(small, "WEBP"),
        encoded(alpha, "WEBP", lossless=True, exif=exif),
        encoded(small, "WEBP", save_all=True, append_images=frames),
        encoded(small.quantize(4), "GIF"),
        encoded(small, "GIF", save_all=True, append_images=frames),
        encoded(small, "BMP"),
        encoded(small.quantize(4), "BMP"),
        encoded(small, "TIFF", tiffinfo=tags),
        encoded(small, "TIFF", compression="tiff_lzw", exif=exif),
        encoded(
            small, "TIFF", compression="tiff_adobe_deflate", save_all=True, append_images=frames
        ),
        encoded(small.convert("CMYK"), "TIFF", compression="jpeg"),
    ]


def mutate(rng: np.random.Generator, data: bytes) -> bytes:
    """Damage a file as transfers, editors and attackers do."""
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        place = int(rng.integers(len(found))) if found else 0
        length = int(rng.integers(1, 9))
        how = int(rng.integers(8))
        if how == 0:  # one bit
            found[place : place + 1] = bytes(
                b ^ (1 << int(rng.integers(8))) for b in found[place : place + 1]
            )
        elif how == 1:  # random bytes
            found[place : place + length] = rng.bytes(length)
        elif how == 2:  # the ends of a number's range
            edge = [b"\0", b"\xff", b"\x7f", b"\x80"][int(rng.integers(4))]
            found[place : place + length] = edge * length
        elif how == 3:  # cut short
            del found[max(place, 1) :]
        elif how == 4:  # a piece lost
            del found[place : place + length]
        elif how == 5:  # a piece twice
            found[place:place] = found[place : place + 8 * length]
        elif how == 6:  # something foreign
            found[place:place] = rng.bytes(length)
        else:  # a header's number: near the start
            place = int(rng.integers(min(64, max(1, len(found)))))
            found[place : place + 2] = rng.bytes(2)
    return bytes(found)


def test_no_damaged_file_gets_past_one_sentence() -> None:
    """Seeded mutations of real files: each is decoded or refused in one sentence."""
    rng = np.random.default_rng(20_240)
    files = originals()
    refused = decoded = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of damaged metadata
        for number in range(MUTATIONS):
            data = mutate(rng, files[number % len(files)])
            try:
                found = decode(data)
            except InputError as error:
                message = str(error)
                assert message.count("\n") == 0
                assert message.endswith(".")
                assert len(message) < 200
                refused += 1
            else:
                assert found.picture.mode == "RGB"
                assert found.picture.width * found.picture.height <= uploads.MAX_PIXELS
                decoded += 1
    assert refused + decoded == MUTATIONS
    assert refused > MUTATIONS / 5  # the mutations do damage
    assert decoded > MUTATIONS / 20  # and not only to the first bytes
