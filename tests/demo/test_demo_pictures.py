"""The demo's catalogue, drawn from a small copy of the packages' layouts."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from explorer.bundle.pictures import PictureStore
from explorer.demo.pictures import (
    MONO_PER_CONCEPT,
    clipart_pictures,
    icon_pictures,
    read_aliases,
    read_catalogue,
    read_concepts,
    render_store,
    slugify,
    stamp_pictures,
)
from explorer.demo.ship import MONO_A_CONCEPT, choose, sensible, write_store
from explorer.demo.sources import Sources, fetch_sources
from explorer.errors import ExplorerError

CIRCLE = '<circle cx="8" cy="8" r="7" fill="{}"/>'
SQUARE = '<path d="M2 2h12v12H2z" fill="currentColor"/>'


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")


@pytest.fixture
def sources(tmp_path):
    made = Sources(tmp_path)
    write_json(
        made.emojibase / "data.json",
        [
            {"label": "dog face", "hexcode": "1F436", "group": 3, "tags": ["dog", "pet"]},
            {"label": "fire engine", "hexcode": "1F692", "group": 5, "tags": ["truck"]},
            {"label": "flag: Togo", "hexcode": "1F1F9", "group": 9},
        ],
    )
    write_json(
        made.emojibase / "shortcodes/github.json", {"1F692": "fire_engine", "1F436": ["dog"]}
    )
    sets = {
        "noto": (
            "Apache-2.0",
            True,
            {"dog-face": CIRCLE.format("red"), "togo": CIRCLE.format("blue")},
        ),
        "fluent": (
            "MIT",
            False,
            {"dog-24-filled": SQUARE, "fireengine": CIRCLE.format("currentColor")},
        ),
        "twemoji": ("CC-BY-4.0", True, {"dog-face": CIRCLE.format("green")}),
        "closed": ("CC-BY-NC-4.0", True, {"dog-face": CIRCLE.format("pink")}),
    }
    write_json(
        made.icons / "collections.json",
        {
            name: {
                "license": {"spdx": spdx},
                "author": {"name": f"{name} team"},
                "palette": palette,
            }
            for name, (spdx, palette, _) in sets.items()
        },
    )
    for name, (_, _, icons) in sets.items():
        bodies = {icon: {"body": body} for icon, body in icons.items()}
        write_json(made.icons / f"json/{name}.json", {"icons": bodies, "width": 16, "height": 16})
    _stamp(made.stamps / "animals/kangaroo.png", "A kangaroo. It jumps!")
    _stamp(made.stamps / "animals/cartoon/old_crow.png", None)
    _stamp(made.stamps / "symbols/alphabets/a.png", "The letter A.")
    _clipart(made, "food/soup_jane_doe_01", "Soup", "Jane Doe")
    _clipart(made, "shapes/star_5", "Star", "Jane Doe")
    made.minilm.mkdir(parents=True)
    (made.minilm / "vocab.txt").write_text("soup\nstar\n", "utf-8")
    return made


def _stamp(path, sentence):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    ImageDraw.Draw(image).ellipse((5, 2, 35, 18), (120, 80, 40, 255))
    image.save(path)
    if sentence:
        path.with_suffix(".txt").write_text(sentence + "\nde.utf8=Tier", "utf-8")


def _clipart(made, name, title, author):
    _stamp((made.clipart_png / name).with_suffix(".png"), None)
    svg = (made.clipart_svg / name).with_suffix(".svg")
    svg.parent.mkdir(parents=True, exist_ok=True)
    svg.write_text(
        '<svg xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f"<dc:title>{title}</dc:title><dc:creator><dc:title>{author}</dc:title></dc:creator>"
        "<dc:subject><rdf:Bag><rdf:li>meal</rdf:li></rdf:Bag></dc:subject></svg>",
        "utf-8",
    )


def test_slugs_are_those_of_icon_sets():
    assert slugify("Mrs. Claus") == "mrs-claus"
    assert slugify("piñata") == "pinata"
    assert slugify("woman's hat") == "womans-hat"


def test_concepts_are_the_wanted_groups(sources):
    concepts = read_concepts(sources.emojibase)
    assert set(concepts) == {"dog-face", "fire-engine"}
    points, names = read_aliases(sources.emojibase, concepts)
    assert points == {"1f436": "dog-face", "1f692": "fire-engine"}
    assert names["dog"] == "dog-face"
    assert names["fireengine"] == "fire-engine"


def test_icons_are_found_by_name_alias_and_style_suffix_in_free_sets_only(sources):
    found = {(p.source, p.name): p for p in icon_pictures(sources)}
    assert set(found) == {
        ("noto", "dog-face"),
        ("fluent", "dog-24-filled"),
        ("fluent", "fireengine"),
        ("twemoji", "dog-face"),
    }
    assert found["twemoji", "dog-face"].held_out
    assert not found["noto", "dog-face"].held_out
    assert found["fluent", "fireengine"].label == "fire engine"
    assert found["fluent", "fireengine"].kind == "mono"
    assert found["noto", "dog-face"].author == "noto team"


def test_stamps_are_named_by_their_sentence_or_file(sources):
    found = {p.label: p for p in stamp_pictures(sources)}
    assert set(found) == {"kangaroo", "old crow"}
    assert found["kangaroo"].kind == "photo"
    assert found["old crow"].kind == "clipart"


def test_clipart_carries_its_own_title_keywords_and_author(sources):
    (soup,) = clipart_pictures(sources)
    assert (soup.label, soup.author) == ("soup", "Jane Doe")
    assert soup.keywords == ("meal", "food")


def test_single_colour_drawings_get_an_ink_and_a_cap(sources):
    icons = {f"dog-{n}": {"body": SQUARE} for n in range(MONO_PER_CONCEPT + 9)}
    write_json(sources.icons / "json/fluent.json", {"icons": icons})
    mono = [p for p in read_catalogue(sources) if p.kind == "mono"]
    assert len(mono) == MONO_PER_CONCEPT
    assert all(p.ink for p in mono)
    assert read_catalogue(sources) == read_catalogue(sources)


def test_rendered_store_and_what_ships(sources, tmp_path):
    pytest.importorskip("resvg_py")
    rendered = tmp_path / "rendered"
    table = render_store(sources, rendered, size=32, workers=1)
    pixels = np.load(rendered / "pictures.npy")
    assert pixels.shape == (len(table), 32, 32, 4)
    row = table.index[(table["source"] == "noto")][0]
    assert pixels[row, 16, 16].tolist() == [255, 0, 0, 255]
    assert pixels[row, 0, 0, 3] == 0
    # the second call reads what is there
    assert render_store(sources, rendered).equals(table)
    shipped = write_store(rendered, tmp_path / "store", thumbnail=24)
    store = PictureStore.open(tmp_path / "store")
    assert len(store) == shipped == len(table)
    assert store.table["split"].tolist() == ["corpus"] * (shipped - 1) + ["heldout"]
    assert store.image(0).size == (24, 24)
    assert store.image(shipped - 1).size == (32, 32)
    assert store.table["author"].str.len().min() > 0


def test_near_duplicates_of_one_label_are_drawn_once(sources, tmp_path):
    pytest.importorskip("resvg_py")
    same = {"dog": {"body": SQUARE}, "dog-face": {"body": SQUARE}, "dog-2": {"body": "<g/>"}}
    write_json(sources.icons / "json/fluent.json", {"icons": same})
    table = render_store(sources, tmp_path / "rendered", size=32, workers=1)
    assert (table["source"] == "fluent").sum() == 1


def test_choice_caps_single_colour_drawings(sources):
    import pandas as pd

    rows = [("mono", "dog", False, "a")] * (MONO_A_CONCEPT + 3) + [
        ("colour", "dog", True, "twemoji")
    ]
    table = pd.DataFrame(rows, columns=["kind", "concept", "held_out", "source"])
    corpus, held_out = choose(table)
    assert len(corpus) == MONO_A_CONCEPT
    assert held_out == [MONO_A_CONCEPT + 3]


def test_a_missing_client_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExplorerError, match="npm"):
        fetch_sources(tmp_path / "sources")


def test_a_failing_client_gives_its_reason(tmp_path, monkeypatch):
    script = tmp_path / "npm"
    script.write_text("#!/bin/sh\necho 'no such package' >&2\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ExplorerError, match="no such package"):
        fetch_sources(tmp_path / "sources")


def test_fetched_archives_are_unpacked_once(tmp_path, monkeypatch):
    import tarfile
    import zipfile

    import explorer.demo.sources as module

    monkeypatch.setattr(module, "NPM", ("@scope/pack@1.0",))
    monkeypatch.setattr(module, "PYPI", ("some-wheel==1.0",))
    monkeypatch.setattr(module, "DEBIAN", ())
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    (tmp_path / "hello.txt").write_text("hello")
    with tarfile.open(downloads / "scope-pack-1.0.tgz", "w:gz") as tar:
        tar.add(tmp_path / "hello.txt", "package/hello.txt")
    with zipfile.ZipFile(downloads / "some_wheel-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("some_wheel/a.txt", "a")
    fetch_sources(tmp_path)
    assert (tmp_path / "scope-pack/package/hello.txt").read_text() == "hello"
    assert (tmp_path / "some-wheel/some_wheel/a.txt").read_text() == "a"
    fetch_sources(tmp_path)


def test_keywords_of_english_words_ship_and_hashes_do_not():
    given = ["dog", "hash 0x849dc78", "fire engine", "mimeicon", "", "ice cream"]
    assert sensible(given) == ["dog", "fire engine", "ice cream"]
