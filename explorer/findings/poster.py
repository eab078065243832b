"""Neurons on one slide: concepts beside strongest pictures, as a PNG of 1600 × 900."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from explorer.bundle import Bundle
from explorer.findings.captions import measures, neuron_name
from explorer.findings.snapshot import Bar, NeuronShot, Shot, neuron_shot
from explorer.formats import signed
from explorer.palette import CLUSTER_COLOURS

SIZE = (1600, 900)
MARGIN = 70
COLUMNS, ROWS, CELL, GAP = 4, 3, 196, 14
BARS, BAR_STEP = 14, 43
TEXTS, BAR_ROOM = 250, 280  # pixels for a concept's text and for the longest bar
INK, MUTED, LINE, GROUND = "#1c2027", "#565e6b", "#dedcd5", "#fcfcfa"
MOST, STACKED = 6, 3  # neurons on a slide, and how many of them are stacked
TOP, BOTTOM = 190, 830  # of the room for them
WORDS, CELLS, LARGEST_CELL = 4, 7, 170  # texts and pictures of each; pixels
TOLD = {
    "words": "Bars: weights of the words that beat chance.",
    "pictures": "No text describes it better than chance.",
    "nothing": "Neither words nor pictures say more of it than chance.",
    "untested": "Bars: weights of its texts, which were not compared with chance.",
}
"""What a poster's foot says of the words, by what the title rests on."""
TITLE_SIZE, SMALLER = 44, 31  # pixels; the smaller one for titles of two lines
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")
_BOLD = ("DejaVuSans-Bold.ttf", "NotoSans-Bold.ttf", "LiberationSans-Bold.ttf", "Arial_Bold.ttf")
_NO_CHARACTER = "\uffff"  # fonts draw it as the box that stands for what they lack

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def neuron_poster(bundle: Bundle, layer: int, neuron: int, title: str = "") -> bytes:
    """Return the poster of a neuron as PNG; `title` stands above it, else what it may be called.

    Raises:
        InputError: when the bundle has no such neuron.
    """
    shot = neuron_shot(bundle, layer, neuron, pictures=COLUMNS * ROWS, bars=BARS)
    canvas = Image.new("RGB", SIZE, GROUND)
    pen = ImageDraw.Draw(canvas)
    line = [neuron_name(shot), *measures(shot), f"bundle {bundle.name}"]
    foot = f"{TOLD[shot.title.basis]} Pictures: those with its strongest second-order effect."
    _head(pen, title or shot.title.text, line, foot, claims=bool(title) or shot.title.claims)
    if title:
        _write(pen, (MARGIN, 180), shot.title.text, 22, INK if shot.title.claims else MUTED, 560)
    _bars(pen, shot.bars, MARGIN, 224)
    _pictures(canvas, pen, shot.pictures)
    return _png(canvas)


def finding_poster(bundle: Bundle, places: Sequence[tuple[int, int]], title: str) -> bytes:
    """Return the poster of one or several (layer, neuron) as PNG, the first `MOST` of them.

    Raises:
        InputError: when the bundle lacks one of them.
    """
    if len(places) == 1:
        return neuron_poster(bundle, *places[0], title)
    shots = [neuron_shot(bundle, *place, pictures=CELLS, bars=WORDS) for place in places[:MOST]]
    canvas = Image.new("RGB", SIZE, GROUND)
    pen = ImageDraw.Draw(canvas)
    shown = f", {MOST} shown" if len(places) > MOST else ""
    foot = "Each: what of it is above chance, and the pictures of its strongest effect."
    _head(pen, title, [f"{len(places)} neurons{shown}", f"bundle {bundle.name}"], foot)
    columns = 1 if len(shots) <= STACKED else 2
    rows = -(-len(shots) // columns)
    width = (SIZE[0] - 2 * MARGIN - (columns - 1) * 2 * GAP) // columns
    height = (BOTTOM - TOP) // rows
    for place, shot in enumerate(shots):
        left = MARGIN + place % columns * (width + 2 * GAP)
        _panel(canvas, pen, shot, (left, TOP + place // columns * height, width, height))
    return _png(canvas)


def _panel(
    canvas: Image.Image,
    pen: ImageDraw.ImageDraw,
    shot: NeuronShot,
    box: tuple[int, int, int, int],
) -> None:
    """Draw one of several neurons: its name and heaviest concepts, then a row of pictures."""
    left, top, width, height = box
    text = max(width // 4, 250)
    _write(pen, (left, top + 6), neuron_name(shot), 24, INK, width)
    if not shot.bars:
        _write(pen, (left, top + 48), shot.title.text, 20, MUTED, text - 20)
    for place, bar in enumerate(shot.bars):
        colour = CLUSTER_COLOURS[bar.colour]
        y = top + 48 + place * 32
        pen.rounded_rectangle((left, y + 5, left + 10, y + 21), 3, fill=colour)
        weight = f" {signed(bar.weight)}"
        rest = text - 40 - round(pen.textlength(weight, font=_font(20)))
        line = _fitted(pen, bar.text, 20, rest) + weight
        pen.text((left + 20, y), line, fill=MUTED, font=_font(20))
    room = width - text + GAP
    largest = min(LARGEST_CELL, height - 60) + GAP
    fitting = min(max(-(-room // largest), 3), CELLS)  # as many as fill the row
    cell = min(largest, room // fitting) - GAP
    for place, picture in enumerate(shot.pictures[:fitting]):
        _picture(canvas, pen, picture, (left + text + place * (cell + GAP), top + 46), cell)


def _png(canvas: Image.Image) -> bytes:
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _head(
    pen: ImageDraw.ImageDraw, title: str, line: Sequence[str], foot: str, claims: bool = True
) -> None:
    """Draw title, line and foot; a title in bold claims a meaning."""
    if claims:
        _title(pen, title, SIZE[0] - 2 * MARGIN)
    else:
        _write(pen, (MARGIN, 44), title, TITLE_SIZE, MUTED, SIZE[0] - 2 * MARGIN)
    _write(pen, (MARGIN, 112), "   ·   ".join(line), 22, MUTED, SIZE[0] - 2 * MARGIN)
    pen.line((MARGIN, 160, SIZE[0] - MARGIN, 160), fill=LINE, width=2)
    _write(pen, (MARGIN, SIZE[1] - 52), foot, 18, MUTED, SIZE[0] - 2 * MARGIN)


def _title(pen: ImageDraw.ImageDraw, title: str, room: int) -> None:
    """Draw the title on one line, or on two smaller ones."""
    line, font = _drawable(title), _font(TITLE_SIZE, _BOLD)
    if pen.textlength(line, font=font) <= room:
        pen.text((MARGIN, 44), line, fill=INK, font=font)
        return
    font, words, first = _font(SMALLER, _BOLD), line.split(), ""
    while words and pen.textlength(f"{first} {words[0]}".strip(), font=font) <= room:
        first = f"{first} {words.pop(0)}".strip()
    lines = [first, " ".join(words)] if first else [line]
    for place, text in enumerate(lines):
        pen.text((MARGIN, 28 + 38 * place), _cut(pen, text, font, room), fill=INK, font=font)


def _bars(pen: ImageDraw.ImageDraw, bars: tuple[Bar, ...], left: int, top: int) -> None:
    """Draw signed bars from a common zero, texts to their left, weights to their right."""
    reach = max((abs(bar.weight) for bar in bars), default=1.0)
    below = max((-bar.weight for bar in bars), default=0.0)
    unit = BAR_ROOM / (reach + max(below, 0.0))
    zero = left + TEXTS + max(below, 0.0) * unit
    for place, bar in enumerate(bars):
        y = top + place * BAR_STEP
        text = _fitted(pen, bar.text, 22, TEXTS - 16)
        width = pen.textlength(text, font=_font(22))
        pen.text((left + TEXTS - 16 - width, y), text, fill=INK, font=_font(22))
        low, high = sorted((zero, zero + bar.weight * unit))
        colour = CLUSTER_COLOURS[bar.colour]
        pen.rounded_rectangle((low, y + 2, max(high, low + 1), y + 26), 4, fill=colour)
        pen.text((max(high, zero) + 10, y), signed(bar.weight), fill=MUTED, font=_font(20))


def _pictures(canvas: Image.Image, pen: ImageDraw.ImageDraw, shots: tuple[Shot, ...]) -> None:
    left, top = SIZE[0] - MARGIN - COLUMNS * CELL - (COLUMNS - 1) * GAP, 190
    for place, shot in enumerate(shots):
        x = left + place % COLUMNS * (CELL + GAP)
        y = top + place // COLUMNS * (CELL + GAP + 8)
        _picture(canvas, pen, shot, (x, y), CELL)


def _picture(
    canvas: Image.Image,
    pen: ImageDraw.ImageDraw,
    shot: Shot,
    place: tuple[int, int],
    cell: int,
) -> None:
    """Draw a picture with its label on a white card of `cell` pixels."""
    x, y = place
    pen.rounded_rectangle((x, y, x + cell, y + cell), 14, fill="white", outline=LINE, width=2)
    side = cell - 40
    with Image.open(io.BytesIO(shot.data)) as opened:
        picture = opened.convert("RGBA")
    scale = min(side / picture.width, side / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    canvas.paste(picture, (x + (cell - size[0]) // 2, y + 8 + (side - size[1]) // 2), picture)
    label = _fitted(pen, shot.caption, 17, cell - 20)
    width = pen.textlength(label, font=_font(17))
    pen.text((x + (cell - width) / 2, y + cell - 28), label, fill=MUTED, font=_font(17))


def _write(
    pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, ink: str, room: int
) -> None:
    pen.text(place, _fitted(pen, text, size, room), fill=ink, font=_font(size))


def _fitted(pen: ImageDraw.ImageDraw, text: str, size: int, room: int) -> str:
    """Return what can be drawn of a text, cut short to its room in pixels."""
    return _cut(pen, _drawable(text), _font(size), room)


def _cut(pen: ImageDraw.ImageDraw, line: str, font: Font, room: int) -> str:
    if pen.textlength(line, font=font) <= room:
        return line
    while line and pen.textlength(line + "…", font=font) > room:
        line = line[:-1]
    return line.rstrip() + "…"


def _drawable(text: str) -> str:
    """Return one line without the characters that the font lacks: better none than boxes."""
    return " ".join("".join(filter(_known, text)).split())


@cache
def _known(character: str) -> bool:
    if character.isascii() or character.isspace():
        return True
    font = _font(20)
    return bytes(font.getmask(character)) != bytes(font.getmask(_NO_CHARACTER))


@cache
def _font(size: int, names: Sequence[str] = _FONTS) -> Font:
    for name in names:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
