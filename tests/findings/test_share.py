"""Findings passed on: HTML without a server, zips and what is refused of them, CSV, slides."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import random
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.findings import archive, html_file, neuron_table, poster, report, snapshot
from explorer.findings.model import (
    BundleRef,
    Collection,
    Finding,
    NeuronRef,
    SavedCollection,
    SavedFinding,
)
from explorer.findings.snapshot import Snapshot, reference, take
from explorer.findings.store import Store
from explorer.ui.data import grouping
from explorer.ui.data.loaders import View
from tests.conftest import flip, png
from tests.support.findings import own_picture, picture, sample, view
from tests.support.hostile import HOSTILE, assert_harmless
from tests.support.told import SHARED, WORDS

EVIL = '"><img src=x onerror="window.stolen=1"><script>window.stolen=1</script>'
TIME = "2026-01-02T03:04:05.678+00:00"


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


def saved(number: int, content: Finding) -> SavedFinding:
    return SavedFinding(f"{number:016x}", 1, TIME, TIME, None, content)


@pytest.fixture
def items(bundle: Bundle) -> tuple[list[SavedFinding], SavedCollection]:
    """Findings of each kind, one with hostile texts, and a collection of two."""
    about = reference(bundle)
    first = sample(bundle=about, note=f"A *note* {EVIL}", author="=cmd()")
    second = picture(EVIL, bundle=about, texts=(EVIL,), tags=(EVIL[:9],))
    findings = [saved(1, first), saved(2, second), saved(3, own_picture(bundle=about))]
    findings.append(saved(4, view(bundle=about)))
    group = Collection(f"Group {EVIL}", ("0" * 15 + "2", "0" * 15 + "1"), EVIL, "Ada")
    return findings, SavedCollection("f" * 16, 3, TIME, TIME, None, group)


@pytest.fixture
def shots(items: tuple[list[SavedFinding], SavedCollection], bundle: Bundle) -> list[Snapshot]:
    return [take(item, bundle) for item in items[0]]


def test_a_snapshot_holds_what_the_bundle_shows(shots: list[Snapshot], bundle: Bundle) -> None:
    first = shots[0].neurons[0]
    row = bundle.row(1, 5)
    assert (first.layer, first.neuron) == (1, 5)
    images = [int(i) for i in bundle.top_images[row, 0] if i >= 0][: snapshot.PICTURES]
    assert [shot.data for shot in first.pictures] == [bundle.pictures.encoded(i) for i in images]
    weights = [abs(bar.weight) for bar in first.bars]
    assert weights == sorted(weights, reverse=True)
    assert shots[1].pictures[0].data == bundle.pictures.encoded(3)
    assert len(shots[1].shots) == 1


def test_colours_are_those_of_the_app(bundle: Bundle) -> None:
    view = View("tiny", bundle)
    for row in range(0, len(bundle.neurons), 7):
        layer, neuron = view.place(row)
        drawn = {bar.text: bar.colour for bar in snapshot.neuron_shot(bundle, layer, neuron).bars}
        shown = {
            concept.text: concept.colour
            for cluster in grouping.concept_clusters(view, row)
            for concept in cluster.concepts
        }
        assert drawn.items() <= shown.items()


def test_a_finding_of_another_bundle_is_not_drawn(bundle: Bundle) -> None:
    other = take(saved(1, sample()), bundle)
    assert "another bundle than “tiny”" in other.missing and not other.shots
    assert "is not here" in take(saved(1, sample()), None).missing
    gone = sample(bundle=reference(bundle), neurons=(NeuronRef(0, 999),))
    assert "choose 0 to 127" in take(saved(1, gone), bundle).missing
    far = picture(bundle=reference(bundle), image=40)
    assert "choose 0 to 39" in take(saved(1, far), bundle).missing


def test_heatmaps_stand_below_their_picture(bundle: Bundle) -> None:
    map_file = png(Image.new("RGB", (4, 4), "red"))
    about = saved(1, picture(bundle=reference(bundle)))
    shot = take(about, bundle, lambda content: [(f"heat of {content.texts[0]}", map_file)])
    assert [s.caption for s in shot.pictures][1:] == ["heat of red circle"]
    assert "heat of red circle" in html_file.finding_file(shot)
    assert archive.read(archive.write([shot]), known(bundle)).findings == (about,)


def test_maps_that_cannot_be_drawn_are_left_out_and_said(bundle: Bundle) -> None:
    def refuse(finding: Finding) -> list[tuple[str, bytes]]:
        raise InputError("The model is not here.")

    content = picture(bundle=reference(bundle))
    shot = take(saved(9, content), bundle, refuse)
    assert [p.caption for p in shot.pictures] == [str(bundle.pictures.table["label"].iloc[3])]
    html = html_file.finding_file(shot, lambda page, params: f"http://here/{page}")
    assert "The model is not here." in html
    assert 'href="http://here/image"' in html


def test_the_html_file_leads_back_to_the_view_and_the_picture(bundle: Bundle) -> None:
    def address(page: str, params: dict[str, object]) -> str:
        return f"http://here/{page}?{urlencode(params)}" if page in {"evidence", "image"} else ""

    about = reference(bundle)
    digest = f"digest={about.digest}"
    html = html_file.finding_file(take(saved(9, view(bundle=about)), bundle), address)
    assert f'href="http://here/evidence?claim=ablation&amp;{digest}"' in html
    assert 'href=""' not in html
    html = html_file.finding_file(take(saved(9, picture(bundle=about)), bundle), address)
    assert f"image?head=2&amp;{digest}&amp;image=3&amp;texts=red+circle" in html
    mine = saved(9, own_picture(bundle=about))
    assert f"{digest}&amp;finding={mine.id}" in html_file.finding_file(take(mine, bundle), address)
    assert "http://here" not in html_file.finding_file(take(mine, None), address)


class Reader(HTMLParser):
    """Collects the tags and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def address(page: str, params: dict[str, object]) -> str:
    return f"https://here.example/{page}?" + "&".join(f"{k}={v}" for k, v in params.items())


@pytest.mark.parametrize("back", [None, address])
def test_the_html_file_needs_nothing_and_runs_nothing(
    items: tuple[list[SavedFinding], SavedCollection], shots: list[Snapshot], back: Any
) -> None:
    for html in (
        html_file.collection_file(items[1], shots, back),
        html_file.finding_file(shots[0], back),
        html_file.finding_file(shots[1], back),
    ):
        page = Reader(html)
        assert {"script", "iframe", "object", "link", "form", "base"}.isdisjoint(page.tags)
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        sources = [value or "" for name, value in page.attributes if name == "src"]
        assert sources and all(source.startswith("data:image/") for source in sources)
        links = [value or "" for name, value in page.attributes if name == "href"]
        assert all(link.startswith(("#f", "https://here.example/")) for link in links)
        assert any(link.startswith("https") for link in links) is bool(back)
        policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
        assert policy and "default-src 'none'" in unescape(policy[1])
        style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
        assert style
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        assert f"sha256-{digest}" in policy[1]
        assert "style" not in [name for name, _ in page.attributes]


def test_the_html_file_shows_every_text_as_it_is_written(bundle: Bundle) -> None:
    about = reference(bundle)
    written: dict[str, Any] = {"note": HOSTILE, "tags": (HOSTILE,), "author": HOSTILE}
    findings = [
        saved(1, sample(HOSTILE, bundle=about, **written)),
        saved(2, picture(HOSTILE, bundle=about, texts=(HOSTILE,), **written)),
        saved(3, sample(HOSTILE, bundle=BundleRef(HOSTILE, "9" * 64), **written)),
    ]
    named = take(findings[0], bundle).neurons[0]
    bars = (snapshot.Bar(HOSTILE[:20], 0.5, 0),)
    pictures = (replace(named.pictures[0], caption=HOSTILE),)
    shots = [take(finding, bundle) for finding in findings]
    shots[0] = replace(shots[0], neurons=(replace(named, bars=bars, pictures=pictures),))
    group = Collection(HOSTILE, tuple(finding.id for finding in findings), HOSTILE, HOSTILE)
    held = SavedCollection("f" * 16, 3, TIME, TIME, None, group)
    for shot in shots:  # title twice, note, tag, author
        assert_harmless(html_file.finding_file(shot, address), shown=5)
    whole = html_file.collection_file(held, shots, address)
    assert_harmless(whole, shown=4 + 3 * 5)  # and of each its title in the list


def test_the_html_file_shows_pictures_charts_and_texts(
    shots: list[Snapshot], bundle: Bundle
) -> None:
    html = html_file.finding_file(shots[0], address)
    assert html.count("<svg") == 2  # of texts that are no better than chance, folded
    assert html.count("<details>") == html.count("not above chance</summary>") == 2
    assert not any(neuron.bars for neuron in shots[0].neurons)
    assert html.count("<rect") == sum(len(neuron.further) for neuron in shots[0].neurons)
    assert '<p class="muted">nothing above chance</p>' in html
    assert html.count("<img") == len(shots[0].shots)
    encoded = base64.b64encode(shots[0].shots[0].data).decode()
    assert encoded in html
    assert "&amp;layer=1&amp;neuron=5" in html
    assert "pictures=grouped" in html
    missing = html_file.finding_file(take(saved(1, sample()), None))
    assert "is not here" in missing


def test_files_show_as_meaning_what_is_more_than_chance(told_bundle: Path) -> None:
    told = Bundle.open(told_bundle)
    layer, neurons = 0, (0, 1, 2)  # by words, by pictures, by nothing
    content = sample(bundle=reference(told), neurons=tuple(NeuronRef(layer, n) for n in neurons))
    shot = take(saved(1, content), told)
    by_words, by_pictures, by_nothing = shot.neurons
    texts = [told.texts[int(text)] for text in told.concept_ids[0, :WORDS]]
    assert sorted(bar.text for bar in by_words.bars) == sorted(texts)
    assert len(by_words.further) == (told.concept_ids[0] >= 0).sum() - WORDS
    assert by_pictures.bars == by_nothing.bars == ()
    html = html_file.finding_file(shot)
    assert f"<b>{by_words.title.text}</b>" in html
    assert f"<b>pictures of {SHARED}</b>" in html
    assert html.count('<p class="muted">nothing above chance</p>') == 1
    lines = list(csv.DictReader(io.StringIO(neuron_table.neurons_csv([shot]))))
    assert [line["rests on"] for line in lines] == ["words", "pictures", "nothing"]
    assert lines[0]["words above chance"].split(", ") == [bar.text for bar in by_words.bars]
    assert lines[2]["words above chance"] == ""
    for neuron in neurons:
        with Image.open(io.BytesIO(poster.neuron_poster(told, layer, neuron))) as drawn:
            assert drawn.size == poster.SIZE


def test_files_of_an_untested_bundle_claim_nothing(untested_bundle: Path) -> None:
    old = Bundle.open(untested_bundle)
    shot = take(saved(1, sample(bundle=reference(old))), old)
    assert shot.neurons[0].title.basis == "untested" and shot.neurons[0].bars
    html = html_file.finding_file(shot)
    assert "they were not compared with chance" in html
    assert f"<b>{shot.neurons[0].title.text}</b>" not in html
    (line, *_) = csv.DictReader(io.StringIO(neuron_table.neurons_csv([shot])))
    assert line["words above chance"] == "" and line["further texts"]
    assert line["prediction"] == ""
    with Image.open(io.BytesIO(poster.neuron_poster(old, 1, 5))) as drawn:
        assert drawn.size == poster.SIZE


def test_bars_of_the_chart_are_as_long_as_their_weights(shots: list[Snapshot]) -> None:
    neuron = shots[0].neurons[0]
    bars = (
        snapshot.Bar("up", 0.5, 0),
        snapshot.Bar("down", -0.25, 1),
        snapshot.Bar("x" * 40, 0.1, 6),
    )
    html = html_file.finding_file(replace(shots[0], neurons=(replace(neuron, bars=bars),)))
    chart = html[html.index("<svg") : html.index("</svg>")]
    widths = [float(width) for width in re.findall(r'width="([\d.]+)"', chart)]
    starts = [float(start) for start in re.findall(r'<rect x="([\d.]+)"', chart)]
    assert widths[1] / widths[0] == pytest.approx(0.5, abs=0.01)
    assert starts[1] + widths[1] == pytest.approx(starts[0], abs=0.2)  # the common zero
    assert "−0.25" in chart and "x" * 23 + "…" in chart


def test_the_table_holds_a_line_a_neuron_and_no_formula(
    shots: list[Snapshot], bundle: Bundle
) -> None:
    lines = list(csv.DictReader(io.StringIO(neuron_table.neurons_csv(shots))))
    assert [(line["layer"], line["neuron"]) for line in lines] == [("1", "5"), ("0", "7")]
    assert lines[0]["author"] == "'=cmd()"
    expected = float(bundle.neurons["polysemy"].iloc[bundle.row(1, 5)])
    assert float(lines[0]["polysemy"]) == pytest.approx(expected, rel=1e-4)
    unknown = neuron_table.neurons_csv([take(saved(1, sample()), None)])
    assert ",1,5,,,," in unknown


CELLS = [
    "=1+1", "+1", "-1", "@SUM(A1)", "|cmd", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=1", "＝1", "﹣1",
    "＋1", "＠x", "−5", "=HYPERLINK(\"http://a.example\")",
]  # fmt: skip
PLAIN = [
    "a=1",
    "1-2",
    "שלום",
    "e\u0301",
    "\u202ea",
    "'=1",
    "\u200f=x"[:1] + "x",
    "",
    "100 %",
    "5 = 5",
]


@pytest.mark.parametrize("cell", CELLS)
def test_no_cell_is_a_formula(cell: str) -> None:
    assert neuron_table.plain(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", PLAIN)
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert neuron_table.plain(cell) == cell


def test_texts_of_all_directions_come_back_from_the_table(bundle: Bundle) -> None:
    title = 'שלום, "سفينة"; o\u0301\u0302 \u202ex'
    one = sample(title, bundle=reference(bundle), author="=a", tags=("-b", "ל"))
    lines = list(
        csv.DictReader(io.StringIO(neuron_table.neurons_csv([take(saved(1, one), bundle)])))
    )
    assert [line["title"] for line in lines] == [title] * 2
    assert [line["author"] for line in lines] == ["'=a"] * 2
    assert [line["tags"] for line in lines] == ["'-b, ל"] * 2


def test_a_slide_draws_any_direction_and_any_number_of_accents(bundle: Bundle) -> None:
    for title in (
        "שלום עולם",
        "o" + "\u0301" * 150,
        "\u202egnp.exe",
        "👩‍👩‍👧 \u200d",
        "سفينة " * 30,
    ):
        drawn = Image.open(io.BytesIO(poster.neuron_poster(bundle, 1, 5, title)))
        assert drawn.size == poster.SIZE


def test_a_slide_is_a_picture_of_the_neuron(bundle: Bundle) -> None:
    drawn = Image.open(io.BytesIO(poster.neuron_poster(bundle, 1, 5, "A title " * 40)))
    assert (drawn.format, drawn.size) == ("PNG", poster.SIZE)
    other = Image.open(io.BytesIO(poster.neuron_poster(bundle, 1, 6)))
    assert np.asarray(drawn).std() > 10
    assert (np.asarray(drawn) != np.asarray(other)).any()
    with pytest.raises(InputError, match="choose 0 to 127"):
        poster.neuron_poster(bundle, 1, 500)


def test_a_slides_title_fits_and_holds_no_boxes(bundle: Bundle) -> None:
    def head(title: str) -> np.ndarray:
        slide = Image.open(io.BytesIO(poster.neuron_poster(bundle, 1, 5, title)))
        return np.asarray(slide.convert("L"))[:105]

    plain = head("Ships and cars")
    assert np.array_equal(head("Ships \U0001f6a2 and \uffff cars\U000e0041"), plain)
    long = head("ships and cars " * 13)
    assert (long[:28] > 240).all() and (long[:, 1531:] > 240).all()  # two lines, in the margins
    dark = (long < 128).any(axis=1)
    assert np.count_nonzero(np.diff(dark.astype(int)) == 1) == 2
    assert (head("x" * 200)[:, 1531:] > 240).all()


def test_a_slide_shows_several_neurons(bundle: Bundle) -> None:
    def drawn(*places: tuple[int, int]) -> np.ndarray:
        made = Image.open(io.BytesIO(poster.finding_poster(bundle, places, "Several")))
        assert (made.format, made.size) == ("PNG", poster.SIZE)
        return np.asarray(made.convert("RGB"), int)

    two, other = drawn((1, 5), (1, 6)), drawn((1, 5), (1, 7))
    changed = np.flatnonzero(np.abs(two - other).sum(axis=(1, 2)))
    middle = (poster.TOP + poster.BOTTOM) // 2
    assert len(changed)  # the second neuron is on it, below the first
    assert changed.min() >= middle
    six, seven = (drawn(*((1, n) for n in range(count))) for count in (6, 7))
    assert (six[poster.TOP :] == seven[poster.TOP :]).all()
    assert (six[: poster.TOP] != seven[: poster.TOP]).any()  # it says that there are more
    one = poster.finding_poster(bundle, [(1, 5)], "One")
    assert one == poster.neuron_poster(bundle, 1, 5, "One")


def test_a_slide_needs_no_font_of_the_system(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poster, "_FONTS", ("no-such-font.ttf",))
    poster._font.cache_clear()
    try:
        assert poster.neuron_poster(bundle, 1, 5).startswith(b"\x89PNG")
    finally:
        poster._font.cache_clear()


# the zip


def known(bundle: Bundle) -> dict[str, Bundle]:
    return {bundle.manifest.identity: bundle}


@pytest.fixture
def whole(items: tuple[list[SavedFinding], SavedCollection], shots: list[Snapshot]) -> bytes:
    return archive.write(shots, [items[1]])


def test_export_and_import_are_a_round_trip(
    items: tuple[list[SavedFinding], SavedCollection],
    whole: bytes,
    bundle: Bundle,
    tmp_path: Path,
) -> None:
    contents = archive.read(whole, known(bundle))
    assert contents == archive.Contents(tuple(items[0]), (items[1],))
    store = Store(f"sqlite:///{tmp_path}/f.sqlite")
    store.merge(contents.findings, contents.collections)
    back = [store.get(item.id) for item in items[0]]
    assert back == items[0]
    assert store.get_collection(items[1].id) == items[1]
    again = archive.write(
        [take(item, bundle) for item in back], [store.get_collection(items[1].id)]
    )
    assert again == whole  # byte by byte


@pytest.mark.parametrize("schema", [1, 2])
def test_a_zip_of_an_earlier_schema_is_read(schema: int, whole: bytes, bundle: Bundle) -> None:
    old = with_json(whole, lambda c: c.update(schema=schema))
    assert archive.read(old, known(bundle)) == archive.read(whole, known(bundle))


def test_a_picture_of_its_own_is_shown_without_the_bundle_too(bundle: Bundle) -> None:
    item = saved(1, own_picture(bundle=reference(bundle)))
    for shot in (take(item, bundle), take(item, None)):
        assert [picture.data for picture in shot.pictures] == [item.content.copy]
        page = html_file.finding_file(shot)
        assert base64.b64encode(item.content.copy).decode() in page
    assert take(item, None).missing in unescape(page)


def test_a_zip_without_the_bundle_still_holds_the_findings(bundle: Bundle) -> None:
    item = saved(1, sample(bundle=reference(bundle)))
    data = archive.write([take(item, None)])
    assert archive.read(data, known(bundle)).findings == (item,)


def test_a_zip_too_large_leaves_its_pictures_out(
    shots: list[Snapshot], bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = archive.write(shots)
    monkeypatch.setattr(archive, "MOST_BYTES", len(full) - 1)
    smaller = archive.write(shots)
    assert zipfile.ZipFile(io.BytesIO(smaller)).namelist() == [archive.JSON_FILE]
    assert len(archive.read(smaller, known(bundle)).findings) == len(shots)
    monkeypatch.setattr(archive, "MOST_BYTES", 10)
    with pytest.raises(InputError, match="too many findings"):
        archive.write(shots)


def unzip(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def rezip(
    files: list[tuple[str | zipfile.ZipInfo, bytes]], kind: int = zipfile.ZIP_DEFLATED
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as made:
        for name, data in files:
            made.writestr(name, data)
    return buffer.getvalue()


def with_json(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    files = unzip(data)
    content = json.loads(files[archive.JSON_FILE])
    change(content)
    files[archive.JSON_FILE] = json.dumps(content).encode()
    return rezip(list(files.items()))


def first(content: dict[str, Any]) -> dict[str, Any]:
    return content["findings"][0]["content"]


def third(content: dict[str, Any]) -> dict[str, Any]:
    return content["findings"][2]["content"]["subject"]


def long_picture() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (600, 8)).save(buffer, "WEBP")
    return base64.b64encode(buffer.getvalue()).decode()


LONG_PICTURE = long_picture()
JSON_REFUSED: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda c: c.update(format="other"), "not an export of findings"),
    (lambda c: c.update(schema=4), "has schema 4 and this version reads up to 3"),
    (lambda c: c.update(more=1), "unknown or missing keys"),
    (lambda c: c.pop("images"), "unknown or missing keys"),
    (lambda c: c.update(findings={}), "no list"),
    (lambda c: c["findings"][0].pop("id"), "unknown or missing keys"),
    (lambda c: c["findings"][0].update(id="../x"), "not an id"),
    (lambda c: c["findings"][0].update(version=0), "not a whole number from 1"),
    (lambda c: c["findings"][0].update(version=True), "not a whole number from 1"),
    (lambda c: c["findings"][0].update(version=2**40), "not a whole number from 1"),
    (lambda c: c["findings"][0].update(created="yesterday"), "not a time in UTC"),
    (
        lambda c: c["findings"][0].update(changed="2026-01-02T03:04:05.678+02:00"),
        "not a time in UTC",
    ),
    (lambda c: c["findings"][0].update(changed=5), "not a time in UTC"),
    (lambda c: c["findings"].append(c["findings"][0]), "an id stands in it twice"),
    (lambda c: first(c).update(title="\x00"), "control character"),
    (lambda c: first(c)["bundle"].update(digest="0" * 64), "another bundle than “tiny” here"),
    (lambda c: first(c).update(bundle={"name": "b", "digest": "0" * 64}), "“b”.* is not here"),
    (lambda c: first(c)["subject"].update(neurons=[[0, 999]]), "choose 0 to 127"),
    (lambda c: c["findings"][1]["content"]["subject"].update(image=77), "choose 0 to 39"),
    (lambda c: third(c).update(copy=LONG_PICTURE), "512 on the long side"),
    (lambda c: third(c).update(copy=third(c)["copy"][:80]), "damaged"),
    (lambda c: c["collections"][0]["content"]["findings"].append("9" * 16), "that is not in it"),
    (lambda c: c["collections"][0].update(id=c["findings"][0]["id"]), "twice"),
    (lambda c: c.update(images={}), "listed in an unknown way"),
    (lambda c: c["images"].pop(), "not those that it lists"),
    (lambda c: c["images"][0].update(file=7), "not those that it lists"),
    (lambda c: c["images"][0].update(finding="9" * 16), "belongs to no finding"),
    (lambda c: c["images"][0].update(sha256="0" * 64), "was changed"),
]


@pytest.mark.parametrize(("change", "reason"), JSON_REFUSED)
def test_json_that_is_not_an_exports_is_refused(
    change: Callable[[dict[str, Any]], object], reason: str, whole: bytes, bundle: Bundle
) -> None:
    with pytest.raises(InputError, match=reason):
        archive.read(with_json(whole, change), known(bundle))


NAMES = [
    "../findings.json",
    "/etc/passwd",
    "images/../../x.png",
    "images\\x.png",
    "C:\\x.png",
    "images/0000000000000001-0.svg",
    "images/",
    "images/0000000000000001-0.png\n",
    "images/0000000000000001-0.PNG",
]


@pytest.mark.parametrize("name", NAMES)
def test_no_path_leaves_the_archive(name: str, whole: bytes, bundle: Bundle) -> None:
    with pytest.raises(InputError, match="none that an export has"):
        archive.read(rezip([*unzip(whole).items(), (name, b"x")]), known(bundle))


def test_pictures_are_what_they_say(whole: bytes, bundle: Bundle) -> None:
    name, script = "images/0000000000000001-99.png", b"<script>"
    entry = {"finding": "0" * 15 + "1", "caption": "x", "file": name}

    def add(data: bytes) -> bytes:
        facts = entry | {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        changed = with_json(whole, lambda content: content["images"].append(facts))
        return rezip([*unzip(changed).items(), (name, data)])

    good = png(Image.new("RGB", (2, 2)))
    assert archive.read(add(good), known(bundle))
    for data in (script, b"", picture_of_size(60_000, 60_000), picture_of_size(5_000, 5_000)):
        with pytest.raises(InputError, match="is not a picture"):
            archive.read(add(data), known(bundle))
    jpeg = io.BytesIO()
    Image.new("RGB", (2, 2)).save(jpeg, "JPEG")
    with pytest.raises(InputError, match="not a picture of that kind"):
        archive.read(add(jpeg.getvalue()), known(bundle))


def picture_of_size(width: int, height: int) -> bytes:
    """A PNG whose head promises so many pixels."""
    import zlib

    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + head
        + struct.pack(">I", zlib.crc32(head))
        + png(Image.new("RGB", (1, 1)))[33:]
    )


def test_bombs_are_refused_before_they_are_unpacked(
    whole: bytes, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = list(unzip(whole).items())
    bomb = rezip([*files, ("images/0000000000000001-98.png", b"\0" * 5_000_000)])
    with pytest.raises(InputError, match="larger than 4,000,000"):
        archive.read(bomb, known(bundle))
    many = [(f"images/0000000000000001-{n}.png", b"\0" * 3_900_000) for n in range(100, 116)]
    with pytest.raises(InputError, match="larger than 60,000,000"):
        archive.read(rezip([*files, *many]), known(bundle))
    with pytest.raises(InputError, match="10,000,000 are allowed"):
        archive.read(b"\0" * 10_000_001, known(bundle))
    monkeypatch.setattr(archive, "MOST_FILES", 3)
    with pytest.raises(InputError, match="3 are allowed"):
        archive.read(whole, known(bundle))
    monkeypatch.setattr(archive, "MOST_ITEMS", 1)
    monkeypatch.setattr(archive, "MOST_FILES", 99)
    with pytest.raises(InputError, match="at most 1"):
        archive.read(whole, known(bundle))


def test_a_size_that_lies_is_found_out(whole: bytes, bundle: Bundle) -> None:
    """The central directory says 10 bytes of a file that unpacks to millions."""
    name = "images/0000000000000001-97.png"
    data = bytearray(rezip([*unzip(whole).items(), (name, b"\0" * 3_000_000)]))
    place = data.rindex(name.encode()) - 46
    assert data[place : place + 4] == b"PK\x01\x02"
    data[place + 24 : place + 28] = struct.pack("<I", 10)
    with pytest.raises(InputError, match="refused"):
        archive.read(bytes(data), known(bundle))


def test_odd_zips_are_refused(whole: bytes, bundle: Bundle) -> None:
    files = list(unzip(whole).items())
    text = dict(files)[archive.JSON_FILE]
    cases = [
        (rezip(files, zipfile.ZIP_LZMA), "compressed in a way"),
        (rezip(files[1:]), "must hold findings.json once"),
        (rezip([]), "must hold findings.json once"),
        (b"", "not a complete zip file"),
        (b"PK\x03\x04 and no more", "not a complete zip file"),
        (rezip([(archive.JSON_FILE, b"\xff\xfe")]), "not JSON"),
        (rezip([(archive.JSON_FILE, b"[" * 100_000)]), "not JSON"),
        (rezip([(archive.JSON_FILE, b"[]")]), "not an export of findings"),
        (
            rezip([(archive.JSON_FILE, text.replace(b'"head": 2', b'"head": NaN'))]),
            "is not a number",
        ),
        (rezip([(archive.JSON_FILE, b"1" * 9_999)]), "not JSON"),
    ]
    for data, reason in cases:
        with pytest.raises(InputError, match=reason):
            archive.read(data, known(bundle))
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = rezip([*files, (archive.JSON_FILE, text)])
    with pytest.raises(InputError, match="once"):
        archive.read(twice, known(bundle))
    locked = bytearray(whole)
    locked[locked.rindex(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(InputError, match="encrypted"):
        archive.read(bytes(locked), known(bundle))


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One of many small damages: bits, cuts, repeated and swapped stretches, odd values."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        place, other = rng.randrange(len(changed)), rng.randrange(len(changed))
        length = rng.choice((1, 2, 4, 64))
        fate = rng.randrange(5)
        if fate == 0:
            changed[place] ^= 1 << rng.randrange(8)
        elif fate == 1:
            del changed[place : place + length]
        elif fate == 2:
            changed[place:place] = changed[other : other + length]
        elif fate == 3:
            changed[place : place + 4] = rng.choice(
                (b"\xff\xff\xff\xff", b"\0\0\0\0", b"PK\x01\x02")
            )
        else:
            changed[place : place + length] = rng.randbytes(length)
    return bytes(changed)


def test_a_damaged_zip_is_refused_or_reads_as_it_was(whole: bytes, bundle: Bundle) -> None:
    rng = random.Random(20_26)
    expected, refused = archive.read(whole, known(bundle)), 0
    for _ in range(1_500):
        try:
            assert archive.read(mutated(whole, rng), known(bundle)) == expected
        except InputError:
            refused += 1
    assert refused > 900


VALUES: list[Any] = [
    None,
    True,
    -1,
    0,
    2**70,
    1.5,
    "",
    "x" * 30_000,
    "\x00",
    [],
    [[]],
    {},
    {"a": 1},
]


def test_damaged_json_is_refused_or_a_finding(whole: bytes, bundle: Bundle) -> None:
    """Any value of the JSON put in the place of any other: nothing but an InputError comes out."""
    rng = random.Random(7)
    text = unzip(whole)[archive.JSON_FILE]
    refused = 0
    for _ in range(400):
        content = json.loads(text)
        spots: list[tuple[Any, Any]] = []
        collect(content, spots)
        holder, key = rng.choice(spots)
        donor, place = rng.choice(spots)
        holder[key] = rng.choice([*VALUES, donor[place]]) if rng.random() < 0.9 else EVIL
        try:
            data = json.dumps(content)
        except ValueError:  # it now holds itself
            continue
        files = unzip(whole) | {archive.JSON_FILE: data.encode()}
        try:
            contents = archive.read(rezip(list(files.items())), known(bundle))
        except InputError:
            refused += 1
            continue
        assert all(isinstance(item.content, Finding) for item in contents.findings)
        archive.write([Snapshot(item) for item in contents.findings], contents.collections)
    assert refused > 200


def collect(value: Any, spots: list[tuple[Any, Any]]) -> None:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in pairs:
        spots.append((value, key))
        if isinstance(part, dict | list):
            collect(part, spots)


# the report


@pytest.fixture
def staged(bundle_copy: Path) -> Bundle:
    """The tiny bundle with top pictures set up: who is polysemantic is known."""
    opened = Bundle.open(bundle_copy)
    table = opened.pictures.table
    reds = [int(i) for i in np.flatnonzero(table["label"].str.startswith("red"))[:5]]
    blues = [int(i) for i in np.flatnonzero(table["label"].str.startswith("blue"))[:5]]
    mixed = [int(np.flatnonzero(table["label"].str.startswith(c))[0]) for c in ("green", "black")]
    images = np.array(opened.top_images)
    clusters = np.array(opened.top_clusters)
    images[:, 0], clusters[:, 0] = -1, -1

    def stage(row: int, *groups: list[int]) -> None:
        place = 0
        for number, group in enumerate(groups):
            images[row, 0, place : place + len(group)] = group
            clusters[row, 0, place : place + len(group)] = number
            place += len(group)

    stage(0, reds, blues)
    stage(1, reds + blues)  # one cluster
    stage(2, reds[:3], blues[:3])  # too small
    stage(3, reds, reds)  # one meaning twice
    stage(4, [reds[0], blues[0], *mixed], reds)  # the first agrees on nothing but the shape
    stage(5, [*reds[:4], *mixed[:1]], blues[:4], [])
    np.save(bundle_copy / "top_images.npy", images)
    np.save(bundle_copy / "top_clusters.npy", clusters)
    sure = {"driven_by": "red, blue, <b>*red*</b>", "driven_pass": True}
    polysemy = opened.neurons.assign(polysemy=0.5, **sure)
    polysemy.to_parquet(bundle_copy / "neurons.parquet", index=False)
    return Bundle(bundle_copy, opened.manifest)


def test_the_report_lists_what_labels_confirm(staged: Bundle) -> None:
    entries = report.polysemy_report(staged)
    named = {(e.layer, e.neuron): e for e in entries}
    assert {(0, 0), (0, 5)} <= set(named) <= {(0, 0), (0, 5), (0, 4)}
    assert [m.word for m in named[0, 0].meanings] == ["red", "blue"]
    assert [(m.agreeing, len(m.images)) for m in named[0, 0].meanings] == [(5, 5), (5, 5)]
    assert named[0, 0].verified == 1
    assert named[0, 5].verified == pytest.approx(8 / 9)
    assert (entries[0].layer, entries[0].neuron) == (0, 0)
    assert entries[0].title == "red and blue"
    assert report.polysemy_report(staged, most=1) == entries[:1]
    with pytest.raises(InputError, match="at least one"):
        report.polysemy_report(staged, most=0)


def test_meanings_of_the_report_are_more_than_chance(staged: Bundle) -> None:
    """The same pictures, of neurons for which only one of the words passes, or none."""
    file = staged.path / "neurons.parquet"
    table = pd.read_parquet(file)
    for words in ("red", ""):
        table.assign(driven_by=words, driven_pass=bool(words)).to_parquet(file, index=False)
        assert report.polysemy_report(Bundle(staged.path, staged.manifest)) == []
    rest = table.drop(columns=["words_pass"])  # built before: nothing is known, all labels count
    rest.to_parquet(file, index=False)
    assert report.polysemy_report(Bundle(staged.path, staged.manifest))


def test_the_report_is_ready_to_be_saved(staged: Bundle, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/f.sqlite")
    findings = report.report_findings(staged)
    ids = tuple(store.add(finding).id for finding in findings)
    group = store.add_collection(Collection(report.TITLE, ids))
    assert [s.content for s in store.members(group)] == findings
    assert findings[0].neurons == (NeuronRef(0, 0),)
    assert "**red**: 5 of 5" in findings[0].note
    assert findings[0].bundle == BundleRef("tiny", staged.manifest.identity)


def test_labels_in_the_report_are_text(staged: Bundle) -> None:
    table = pd.read_parquet(staged.path / "images.parquet")
    label = table["label"].str.replace("red", "<b>*red*</b>").str.replace(" .*", "", regex=True)
    table.assign(label=label, keywords="", concept="").to_parquet(staged.path / "images.parquet")
    from explorer.findings import notes

    noted = report.report_findings(Bundle(staged.path, staged.manifest))[0].note
    html = notes.to_html(noted)
    assert "&lt;b&gt;*red*&lt;/b&gt;" in html and "<b>" not in html and "<em>" not in html


def test_a_bundle_without_pictures_has_no_report(bundle_copy: Path) -> None:
    opened = Bundle.open(bundle_copy)
    np.save(bundle_copy / "top_clusters.npy", np.full_like(opened.top_clusters, -1))
    assert report.polysemy_report(Bundle(bundle_copy, opened.manifest)) == []
    flip(bundle_copy / "manifest.json")  # the helper's own check: a changed bundle is noticed
    with pytest.raises(Exception, match="manifest"):
        Bundle.open(bundle_copy)
