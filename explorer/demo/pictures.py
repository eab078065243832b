"""The demo's pictures: what they show, where they come from, how they are drawn.

1. *Catalogue*: every drawing of an Iconify set whose name or code point is one of the about
   1,030 concepts of emojibase's groups 0 and 3-7, plus Tux Paint's stamps and the Open Clip
   Art Library, each with label, keywords, source, author and licence.
2. *Render*: RGBA at one size; the alpha channel is the picture's exact mask.
3. *Store*: near-duplicates of the same concept are dropped by a difference of 12 x 12 thumbnails.

``twemoji`` and ``streamline-emojis`` are held out: never trained on.
"""

from __future__ import annotations

import io
import json
import re
import unicodedata
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from explorer.demo.looks import looks
from explorer.demo.sources import Sources

HELD_OUT_SETS = ("twemoji", "streamline-emojis")
CONCEPT_GROUPS = (0, 3, 4, 5, 6, 7)
FREE_LICENCES = (
    "Apache-2.0", "MIT", "ISC", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-4.0",
    "OFL-1.1", "BSD-3-Clause", "Unlicense", "MPL-2.0",
)  # fmt: skip
# Suffixes by which icon sets name variants of one drawing ("bug-24-filled" shows a bug).
STYLE_SUFFIX = re.compile(
    r"-(\d+|filled|fill|outline|outlined|line|solid|bold|duotone|broken|linear|thin|light|regular"
    r"|rounded|round|sharp|alt|one|two|color|flat|twotone|filled|duo|square)$"
)
INKS = ("#202020", "#1f4e8c", "#8c1f2f", "#1f6b3a", "#6b3a8c", "#b35c00", "#0f6e75", "#404a59")
MONO_PER_CONCEPT = 28
CLIPART_LEFT_OUT = re.compile(
    r"^(shapes|special|signs_and_symbols/flags|recreation/games/cards|unsorted/duplicates)"
    r"|pattern|gradient|polygon|star_\d|button|callout|border|frame"
)
STAMPS_LEFT_OUT = re.compile(r"^symbols/(alphabets|math|money|shapes)")


@dataclass(frozen=True)
class Picture:
    """One picture of the corpus, before it is drawn."""

    label: str  # what it shows, as people say it: "fire engine"
    concept: str  # emojibase's name of the concept, "" where the picture shows none of them
    keywords: tuple[str, ...]
    source: str  # icon set, "tuxpaint" or "openclipart"
    name: str  # the drawing's name in its source
    author: str
    licence: str
    kind: str  # "colour", "mono", "photo" or "clipart"
    held_out: bool = False
    path: str = ""  # the file, for pictures that are not Iconify drawings
    ink: str = ""  # the colour a single-colour drawing is drawn in
    looks: tuple[str, ...] = ()  # how it is drawn and in which colours; known once it is drawn


@dataclass(frozen=True)
class Concept:
    """One of emojibase's concepts."""

    slug: str
    label: str
    keywords: tuple[str, ...]
    group: int


def slugify(name: str) -> str:
    """Return ``name`` in the form icon sets use: "Santa's sleigh" -> "santas-sleigh"."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"['.]", "", plain)).strip("-")


def read_concepts(emojibase: Path) -> dict[str, Concept]:
    """Return the concepts of groups 0 and 3-7 by slug."""
    rows = json.loads((emojibase / "data.json").read_text("utf-8"))
    concepts = {}
    for row in rows:
        if row.get("group") in CONCEPT_GROUPS:
            slug = slugify(row["label"].replace("’", "'"))
            label = slug.replace("-", " ")
            concepts[slug] = Concept(slug, label, tuple(row.get("tags", ())), row["group"])
    return concepts


def read_aliases(
    emojibase: Path, concepts: dict[str, Concept]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return ({code point: slug}, {icon name: slug}); a name of two concepts is left out."""
    rows = json.loads((emojibase / "data.json").read_text("utf-8"))
    points = {}
    for row in rows:
        slug = slugify(row["label"].replace("’", "'"))
        if slug in concepts:
            points[_code_point(row["hexcode"])] = slug
    names: dict[str, set[str]] = defaultdict(set)
    for file in sorted((emojibase / "shortcodes").glob("*.json")):
        for code, value in json.loads(file.read_text("utf-8")).items():
            found = points.get(_code_point(code))
            for shortcode in [value] if isinstance(value, str) else value:
                if found:
                    names[slugify(shortcode)].add(found)
    aliases = {name: next(iter(slugs)) for name, slugs in names.items() if len(slugs) == 1}
    aliases |= {slug.replace("-", ""): slug for slug in concepts}
    aliases |= {slug: slug for slug in concepts}
    return points, aliases


def icon_pictures(sources: Sources) -> Iterator[Picture]:
    """Yield the drawings of the free icon sets that show one of the concepts."""
    concepts = read_concepts(sources.emojibase)
    points, aliases = read_aliases(sources.emojibase, concepts)
    collections = json.loads((sources.icons / "collections.json").read_text("utf-8"))
    for prefix in sorted(collections):
        info = collections[prefix]
        if info["license"].get("spdx") not in FREE_LICENCES or info.get("category") == "Logos":
            continue
        icons = json.loads((sources.icons / "json" / f"{prefix}.json").read_text("utf-8"))
        shown = {
            name: points[_code_point(c)]
            for c, name in icons.get("chars", {}).items()
            if _code_point(c) in points
        }
        for name in icons["icons"]:
            slug = shown.get(name) or aliases.get(name) or aliases.get(_strip_style(name))
            if slug is None or icons["icons"][name].get("hidden"):
                continue
            yield Picture(
                label=concepts[slug].label,
                concept=concepts[slug].label,
                keywords=concepts[slug].keywords,
                source=prefix,
                name=name,
                author=info.get("author", {}).get("name", "unknown"),
                licence=info["license"]["spdx"],
                kind="colour" if info.get("palette") else "mono",
                held_out=prefix in HELD_OUT_SETS,
            )


def stamp_pictures(sources: Sources) -> Iterator[Picture]:
    """Yield Tux Paint's stamps; those outside a ``cartoon`` folder are photographic cut-outs."""
    for file in sorted(sources.stamps.rglob("*.png")):
        where = file.relative_to(sources.stamps).as_posix()
        if STAMPS_LEFT_OUT.match(where) or file.stem.endswith("_mirror"):
            continue
        text = file.with_suffix(".txt")
        lines = text.read_text("utf-8", "replace").splitlines() if text.exists() else []
        sentence = re.split(r"[.!?]", lines[0])[0] if lines else ""
        label = re.sub(r"^(an?|the|some) ", "", sentence.strip().lower()) or _words(file.stem)
        label = _words(label)
        if not 1 <= len(label.split()) <= 5:
            label = _words(file.stem)
        yield Picture(
            label=label,
            concept="",
            keywords=tuple(p for p in where.split("/")[:-1] if p != "cartoon"),
            source="tuxpaint",
            name=where.removesuffix(".png"),
            author="Bill Kendrick and the Tux Paint contributors",
            licence="GPL-2.0",
            kind="clipart" if "cartoon" in where else "photo",
            path=str(file),
        )


def clipart_pictures(sources: Sources) -> Iterator[Picture]:
    """Yield the Open Clip Art Library's concrete drawings with their own titles and authors."""
    english = set((sources.minilm / "vocab.txt").read_text("utf-8").split("\n"))
    found = []
    for file in sorted(sources.clipart_png.rglob("*.png")):
        where = file.relative_to(sources.clipart_png).as_posix()
        if file.is_symlink() or CLIPART_LEFT_OUT.search(where):
            continue
        title, keywords, author = _clipart_metadata(
            (sources.clipart_svg / where).with_suffix(".svg")
        )
        label = " ".join(
            re.sub(r"\d+|\b(clip ?art|icons?|simple|svg|color)\b", " ", _words(title)).split()
        )
        found.append((file, where, label, keywords, author))
    shared = Counter(label for _, _, label, _, _ in found)
    for file, where, label, keywords, author in found:
        # a title that many files share names a collection, one with foreign words an unknown thing
        words = label.split()
        if shared[label] > 12 or not 1 <= len(words) <= 4 or not english.issuperset(words):
            continue
        yield Picture(
            label=label,
            concept="",
            keywords=tuple(dict.fromkeys((*keywords, *(_words(p) for p in where.split("/")[:-1])))),
            source="openclipart",
            name=where.removesuffix(".png"),
            author=author,
            licence="CC0-1.0",
            kind="clipart",
            path=str(file),
        )


def read_catalogue(sources: Sources, seed: int = 0) -> list[Picture]:
    """Return the whole catalogue; single-colour drawings are capped and inked per concept."""
    rng = np.random.default_rng(seed)
    pictures, mono = [], defaultdict(list)
    for picture in icon_pictures(sources):
        if picture.kind == "mono":
            mono[picture.concept].append(picture)
        else:
            pictures.append(picture)
    for concept in sorted(mono):
        order = rng.permutation(len(mono[concept]))
        # one drawing of every set first, then second variants
        seen: dict[str, int] = defaultdict(int)
        ranked: list[tuple[int, int, Picture]] = []
        for position in order:
            picture = mono[concept][position]
            ranked.append((seen[picture.source], len(ranked), picture))
            seen[picture.source] += 1
        for _, _, picture in sorted(ranked, key=lambda row: row[:2])[:MONO_PER_CONCEPT]:
            pictures.append(replace(picture, ink=str(rng.choice(INKS))))
    return [*pictures, *stamp_pictures(sources), *clipart_pictures(sources)]


def draw(
    svg_body: str, view: tuple[float, float, float, float], size: int, ink: str
) -> Image.Image:
    """Render an Iconify body (its ``viewBox`` in ``view``) into a square RGBA picture."""
    import resvg_py

    left, top, width, height = view
    colour = f' color="{ink}"' if ink else ""
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        f' viewBox="{left} {top} {width} {height}"{colour}>{svg_body}</svg>'
    )
    scale = size / max(width, height)
    png = resvg_py.svg_to_bytes(
        svg_string=svg, width=max(1, round(width * scale)), height=max(1, round(height * scale))
    )
    return _square(Image.open(io.BytesIO(bytes(png))).convert("RGBA"), size)


def render_store(sources: Sources, out: Path, size: int = 168, workers: int = 2) -> pd.DataFrame:
    """Draw the catalogue into ``out/pictures.npy`` [image, size, size, 4] uint8 and a table.

    Pictures that fail to render, are almost empty, or nearly equal another of the same label are
    dropped. The table (``out/pictures.parquet``) has one row an image with the fields of `Picture`.
    """
    table, array = out / "pictures.parquet", out / "pictures.npy"
    if table.exists() and array.exists():
        return pd.read_parquet(table)
    catalogue = read_catalogue(sources)
    groups: dict[tuple[str, int], list[Picture]] = defaultdict(list)
    for position, picture in enumerate(catalogue):
        groups[picture.source, position // 500].append(picture)
    drawn: list[tuple[Picture, bytes]] = []
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(_draw_set, sources, part, size) for part in groups.values()]
        for job in jobs:
            drawn.extend(job.result())
    kept = _drop_near_duplicates(drawn, size)
    out.mkdir(parents=True, exist_ok=True)
    store = np.lib.format.open_memmap(array, "w+", np.uint8, (len(kept), size, size, 4))
    for row, (_, pixels) in enumerate(kept):
        store[row] = np.frombuffer(pixels, np.uint8).reshape(size, size, 4)
    store.flush()
    frame = pd.DataFrame([asdict(picture) for picture, _ in kept]).drop(columns="path")
    for column in ("keywords", "looks"):
        frame[column] = frame[column].map(", ".join)
    frame.to_parquet(table)
    return frame


def _draw_set(sources: Sources, pictures: list[Picture], size: int) -> list[tuple[Picture, bytes]]:
    prefix = pictures[0].source
    icons: dict[str, Any] = {}
    if not pictures[0].path:
        icons = json.loads((sources.icons / "json" / f"{prefix}.json").read_text("utf-8"))
    drawn = []
    for picture in pictures:
        try:
            if picture.path:
                image = _square(_open(Path(picture.path), 4 * size), size)
            else:
                icon = icons["icons"][picture.name]
                view = (
                    icon.get("left", icons.get("left", 0)),
                    icon.get("top", icons.get("top", 0)),
                    icon.get("width", icons.get("width", 16)),
                    icon.get("height", icons.get("height", 16)),
                )
                image = draw(icon["body"], view, size, picture.ink)
        except (ValueError, OSError, Image.DecompressionBombError):
            continue
        seen = looks(np.asarray(image), picture.source, picture.kind)
        drawn.append((replace(picture, looks=seen), image.tobytes()))
    return drawn


def _drop_near_duplicates(
    drawn: list[tuple[Picture, bytes]], size: int
) -> list[tuple[Picture, bytes]]:
    """Keep one of any two pictures of one label whose 12 x 12 thumbnails differ by under 3 %."""
    seen: dict[tuple[str, bool], list[np.ndarray]] = defaultdict(list)
    kept = []
    for picture, pixels in drawn:
        image = Image.frombytes("RGBA", (size, size), pixels)
        small = np.asarray(image.resize((12, 12), Image.Resampling.BOX), np.float32) / 255
        if small[..., 3].mean() < 0.02:
            continue
        # a single-colour drawing is its mask, whatever its ink
        look = small[..., 3:] if picture.kind == "mono" else small[..., :3] * small[..., 3:]
        family = seen[picture.label, picture.kind == "mono"]
        if any(np.abs(look - other).mean() < 0.03 for other in family) and not picture.held_out:
            continue
        if not picture.held_out:
            family.append(look)
        kept.append((picture, pixels))
    return kept


def _square(image: Image.Image, size: int) -> Image.Image:
    """Trim the empty rim (a little stays), scale the long side to ``size`` and centre."""
    box = image.getchannel("A").getbbox()
    if box is None:
        raise ValueError("the picture is empty")
    image = image.crop(box)
    inner = round(size * 0.96)
    scale = inner / max(image.size)
    shape = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    # premultiplied, so that hidden colours under transparent pixels do not bleed into the edge
    image = image.convert("RGBa").resize(shape, Image.Resampling.LANCZOS).convert("RGBA")
    canvas = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    canvas.paste(image, ((size - shape[0]) // 2, (size - shape[1]) // 2))
    return canvas


def _open(file: Path, limit: int) -> Image.Image:
    """Open an RGBA picture, scaled down at once if a side exceeds ``limit`` pixels."""
    opened = Image.open(file)
    if opened.width * opened.height > 4_000_000:
        raise ValueError("the picture is too large to be one object's drawing")
    image = opened.convert("RGBA")
    shrink = max(image.size) // limit
    return image.reduce(shrink) if shrink > 1 else image


def _clipart_metadata(svg: Path) -> tuple[str, tuple[str, ...], str]:
    """Return (title, keywords, author) of an Open Clip Art SVG; empty where it has none."""
    title, author = "", "Open Clip Art Library contributors"
    keywords: tuple[str, ...] = ()
    if not svg.exists():
        return _words(svg.stem), keywords, author
    try:
        root = ET.parse(svg).getroot()
    except ET.ParseError:
        return title, keywords, author
    dc, rdf = "{http://purl.org/dc/elements/1.1/}", "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
    found = root.find(f".//{dc}title")
    if found is not None and found.text:
        title = found.text.strip()
    keywords = tuple(
        w for li in root.iterfind(f".//{dc}subject//{rdf}li") if (w := _words(li.text or ""))
    )
    creator = next((e.text for e in root.iterfind(f".//{dc}creator//{dc}title") if e.text), None)
    return title, keywords, (creator or author).strip()


def _code_point(hexcode: str) -> str:
    return hexcode.lower().replace("-fe0f", "").replace("-200d", "-200d")


def _strip_style(name: str) -> str:
    while (shorter := STYLE_SUFFIX.sub("", name)) != name:
        name = shorter
    return name


def _words(name: str) -> str:
    return " ".join(
        re.sub(r"[^A-Za-z0-9]+", " ", re.sub(r"([a-z])([A-Z])", r"\1 \2", name)).lower().split()
    )
