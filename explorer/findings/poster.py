"""A neuron on one slide: its concepts beside its strongest pictures, as a PNG of 1600 × 900."""

from __future__ import annotations

import io
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from explorer.bundle import Bundle
from explorer.findings.html_file import signed
from explorer.findings.snapshot import Bar, NeuronShot, Shot, neuron_shot
from explorer.palette import CLUSTER_COLOURS

SIZE = (1600, 900)
MARGIN = 70
COLUMNS, ROWS, CELL, GAP = 4, 3, 196, 14
BARS, BAR_STEP = 14, 43
TEXTS, BAR_ROOM = 250, 300  # pixels for a concept's text and for the longest bar
INK, MUTED, LINE, GROUND = "#1c2027", "#565e6b", "#dedcd5", "#fcfcfa"
_FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "Arial.ttf")

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def neuron_poster(bundle: Bundle, layer: int, neuron: int, title: str = "") -> bytes:
    """Return the poster of a neuron as PNG; ``title`` stands above it, else its concepts.

    Raises:
        InputError: the bundle has no such neuron.
    """
    shot = neuron_shot(bundle, layer, neuron, pictures=COLUMNS * ROWS, bars=BARS)
    canvas = Image.new("RGB", SIZE, GROUND)
    pen = ImageDraw.Draw(canvas)
    _head(pen, shot, title or shot.concepts or "no concepts", bundle.name)
    _bars(pen, shot.bars, MARGIN, 210)
    _pictures(canvas, pen, shot.pictures)
    buffer = io.BytesIO()
    canvas.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _head(pen: ImageDraw.ImageDraw, shot: NeuronShot, title: str, bundle: str) -> None:
    _write(pen, (MARGIN, 48), title, 44, INK, SIZE[0] - 2 * MARGIN)
    measures = [f"{name.replace('_', ' ')} {value:.2f}" for name, value in shot.measures.items()]
    facts = [f"Layer {shot.layer} · Neuron {shot.neuron:,}", *measures, f"bundle {bundle}"]
    _write(pen, (MARGIN, 112), "   ·   ".join(facts), 22, MUTED, SIZE[0] - 2 * MARGIN)
    pen.line((MARGIN, 160, SIZE[0] - MARGIN, 160), fill=LINE, width=2)
    foot = "Bars: weights of its concepts. Pictures: those with its strongest second-order effect."
    _write(pen, (MARGIN, SIZE[1] - 52), foot, 18, MUTED, SIZE[0] - 2 * MARGIN)


def _bars(pen: ImageDraw.ImageDraw, bars: tuple[Bar, ...], left: int, top: int) -> None:
    """Signed bars from a common zero, the text to their left, the weight to their right."""
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
        pen.rounded_rectangle((x, y, x + CELL, y + CELL), 14, fill="white", outline=LINE, width=2)
        side = CELL - 40
        with Image.open(io.BytesIO(shot.data)) as opened:
            picture = opened.convert("RGBA")
        scale = min(side / picture.width, side / picture.height)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
        canvas.paste(picture, (x + (CELL - size[0]) // 2, y + 8 + (side - size[1]) // 2), picture)
        label = _fitted(pen, shot.caption, 17, CELL - 20)
        width = pen.textlength(label, font=_font(17))
        pen.text((x + (CELL - width) / 2, y + CELL - 28), label, fill=MUTED, font=_font(17))


def _write(
    pen: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, ink: str, room: int
) -> None:
    pen.text(place, _fitted(pen, text, size, room), fill=ink, font=_font(size))


def _fitted(pen: ImageDraw.ImageDraw, text: str, size: int, room: int) -> str:
    """A text cut short, with dots, where it is wider than its room in pixels."""
    font, line = _font(size), " ".join(text.split())
    if pen.textlength(line, font=font) <= room:
        return line
    while line and pen.textlength(line + "…", font=font) > room:
        line = line[:-1]
    return line.rstrip() + "…"


@cache
def _font(size: int) -> Font:
    for name in _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
