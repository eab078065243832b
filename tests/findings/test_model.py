"""Findings as data: what is accepted, what is refused and why; notes; addresses; who may enter."""

from __future__ import annotations

import base64
import io
import json
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from explorer.commands import serve
from explorer.commands.main import main
from explorer.errors import InputError
from explorer.findings import notes
from explorer.findings.copy import copy_of, opened
from explorer.findings.model import (
    COPY_BYTES,
    NOTE_LENGTH,
    BundleRef,
    Collection,
    Finding,
    NeuronRef,
    check_id,
    clean_tags,
)
from explorer.ui.address.findings_query import (
    FindingsQuery,
    format_neurons,
    linkable,
    parse_neurons,
    read_findings,
)
from explorer.ui.core import access
from tests.support.findings import BUNDLE, own_picture, picture, sample

FINDINGS = [sample(), picture(), own_picture(), sample(note="", tags=(), settings={})]


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_is_json_and_back(finding: Finding) -> None:
    assert Finding.from_json(json.loads(json.dumps(finding.to_json()))) == finding


def test_the_subject_of_a_picture_is_what_its_page_stores() -> None:
    found = picture(image=12, texts=("a", "b"), settings={"layers": "7,8"})
    assert found.kind == "image"
    assert found.subject == {"image": 12, "texts": ["a", "b"], "settings": {"layers": "7,8"}}
    assert sample().subject["neurons"] == [[1, 5], [0, 7]]


def test_a_picture_of_its_own_is_small_and_says_nothing_of_its_file() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (700, 1400, 3), np.uint8)
    taken = Image.fromarray(noise)
    taken.info["exif"] = b"Exif\0\0where it was taken"
    data = copy_of(taken)
    assert len(data) <= COPY_BYTES
    assert b"taken" not in data
    assert b"EXIF" not in data
    shown = opened(data)
    assert (shown.size, shown.mode) == ((512, 256), "RGB")
    assert copy_of(Image.new("RGBA", (30, 20)))  # smaller ones keep their size
    assert opened(copy_of(Image.new("L", (30, 20), 9))).size == (30, 20)


@pytest.mark.parametrize("text", ["", "no base64!", 7, None, base64.b64encode(b"GIF89a").decode()])
def test_what_is_no_picture_of_its_own_is_refused(text: Any) -> None:
    content = own_picture().to_json()
    content["subject"]["copy"] = text
    with pytest.raises(InputError, match=r"base64|WebP"):
        Finding.from_json(content)


def test_a_copy_that_none_could_have_made_is_refused() -> None:
    large = io.BytesIO()
    Image.new("RGB", (513, 20)).save(large, "WEBP")
    with pytest.raises(InputError, match="513 × 20 pixels; 512"):
        opened(large.getvalue())
    with pytest.raises(InputError, match="damaged"):
        opened(own_picture().copy[:60])


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"title": ""}, "needs a title"),
    ({"title": "x" * 201}, "201 characters; at most 200 are allowed"),
    ({"title": "two\nlines"}, "control character U\\+000A"),
    ({"title": " blank"}, "on one line"),
    ({"title": "nul\x00"}, "control character U\\+0000"),
    ({"title": "half \ud800"}, "control character U\\+D800"),
    ({"title": 7}, "is a text, not int"),
    ({"note": "x" * 20_001}, "at most 20,000"),
    ({"note": "\x1b[31m"}, "U\\+001B"),
    ({"author": "x" * 81}, "80 are allowed"),
    ({"tags": ("b", "a")}, "each once, in order"),
    ({"tags": ("A",)}, "lower-case"),
    ({"tags": tuple(f"t{n:02d}" for n in range(21))}, "21 tags are too many"),
    ({"copy": own_picture().copy}, "give one of the two"),
    ({"neurons": (), "copy": b"GIF89a and so on"}, "is a WebP file"),
    ({"neurons": (), "copy": b"RIFF....WEBP" + bytes(COPY_BYTES)}, "200,000 are allowed"),
    ({"neurons": ()}, "about neurons or about a picture"),
    ({"image": 3}, "about neurons or about a picture"),
    ({"neurons": (NeuronRef(1, 1), NeuronRef(1, 1))}, "only once"),
    ({"neurons": tuple(NeuronRef(0, n) for n in range(201))}, "201 neurons are too many"),
    ({"texts": ("x",)}, "Texts belong to a finding about a picture"),
    ({"settings": {"a": {"b": {"c": {"d": {"e": 1}}}}}}, "nested more than 4"),
    ({"settings": {"a": "x" * 8_001}}, "too long"),
    ({"settings": {"a": float("nan")}}, "finite"),
    ({"settings": {"a": 2**60}}, "2 to the 53rd"),
    ({"settings": {"a": b"x"}}, "not bytes"),
    ({"settings": {1: "x"}}, "texts as keys"),
    ({"settings": [1]}, "an object of JSON values"),
]


@pytest.mark.parametrize(("change", "reason"), WRONG)
def test_what_is_no_finding_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        replace(sample(), **change)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: BundleRef("tiny", "AB" * 32), "64 hexadecimal"),
        (lambda: BundleRef("", "ab" * 32), "needs a name"),
        (lambda: NeuronRef(-1, 0), "not a valid layer"),
        (lambda: NeuronRef(0, True), "not a valid neuron"),
        (lambda: NeuronRef(0, 2**31), "not a valid neuron"),
        (lambda: picture(image=-1), "not a valid image"),
        (lambda: picture(texts=("x",) * 21), "21 texts"),
        (lambda: picture(texts=("x" * 201,)), "200 are allowed"),
        (lambda: Collection(""), "collection needs a title"),
        (lambda: Collection("c", ("1" * 16,) * 2), "only once"),
        (lambda: Collection("c", ("nonsense",)), "not an id"),
        (lambda: Collection("c", tuple(f"{n:016x}" for n in range(1001))), "1001 findings"),
        (lambda: check_id(None), "not an id"),
    ],
)
def test_each_part_is_checked(make: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        make()


JSON_CHANGES: list[tuple[str, Any]] = [
    ("bundle", {"name": "x"}),
    ("bundle", None),
    ("kind", "video"),
    ("kind", ["neurons"]),
    ("tags", "a"),
    ("tags", [1]),
    ("title", None),
    ("note", 5),
    ("subject", {}),
    ("subject", {"neurons": [], "settings": {}}),
    ("subject", {"neurons": [[1]], "settings": {}}),
    ("subject", {"neurons": [[1, "2"]], "settings": {}}),
    ("subject", {"neurons": [[1, 2]], "settings": {}, "more": 1}),
    ("subject", {"image": 1, "texts": [], "settings": {}}),  # of the other kind
]


@pytest.mark.parametrize(("key", "value"), JSON_CHANGES)
def test_json_of_another_shape_is_refused(key: str, value: Any) -> None:
    with pytest.raises(InputError):
        Finding.from_json(sample().to_json() | {key: value})
    with pytest.raises(InputError):
        Collection.from_json({"title": "x"})


DEEP = (
    "> ", "- ", "* ", "1. ", "[", "![", "(", "*", "**a", "_", "`", "``` \n", "~~", "<", "&", "\\",
    "[a](", "[a][", "| ", "|-", "# ", "<a ", "https://", "<https://", "\u0301", "\u202e", "שלום ",
    "$", "a\n> ", "[x]: /\n", "*a_ ", "[a](b", "`a``",
)  # fmt: skip


@pytest.mark.parametrize("piece", DEEP)
def test_the_longest_notes_of_one_sign_are_drawn(piece: str) -> None:
    """Readers of Markdown are known for inputs that take them minutes or too many levels."""
    note = (piece * NOTE_LENGTH)[:NOTE_LENGTH]
    assert "<script" not in notes.to_html(note)
    notes.to_text(note)


def test_tags_are_cleaned_once_and_for_all() -> None:
    assert clean_tags(" Ships, #cars ,, ships, # #Odd  one") == ("cars", "odd one", "ships")
    rng = random.Random(3)
    for _ in range(300):
        typed = "".join(rng.choices("aAİß# ,\t_é-", k=12))
        assert clean_tags(clean_tags(typed)) == clean_tags(typed)
    with pytest.raises(InputError, match="A tag has 41"):
        clean_tags("x" * 41)
    with pytest.raises(InputError, match="Tags are texts"):
        clean_tags([3])  # type: ignore[list-item]


NOTES = {
    "# Big\n\n**bold** `code`": "<h3>Big</h3>\n<p><strong>bold</strong> <code>code</code></p>\n",
    "<script>alert(1)</script>": "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n",
    "<img src=x onerror=a()>": "<p>&lt;img src=x onerror=a()&gt;</p>\n",
    "[a](javascript:b())": "<p>[a](javascript:b())</p>\n",
    "[a](JaVa&#115;cript:b())": None,
    "[a](data:text/html;base64,xx)": None,
    "[a](vbscript:x)": None,
    "[a](//evil.example)": None,
    "![a](https://evil.example/pixel.png)": None,
    "<javascript:alert(1)>": None,
    "[a]: javascript:b\n\n[a]": None,
}


@pytest.mark.parametrize("note", NOTES)
def test_a_note_can_only_be_read(note: str) -> None:
    html = notes.to_html(note)
    for sign in ("<script", "<img", "<svg", "<iframe", 'href="java', 'href="data', 'href="vb'):
        assert sign not in html.lower()
    assert 'href="//' not in html
    if NOTES[note]:
        assert html == NOTES[note]


def test_links_lead_out_without_a_word_of_where_from() -> None:
    html = notes.to_html('[a](https://x.example/?a=1&b="2" "t") [m](mailto:a@b.example)')
    assert 'href="https://x.example/?a=1&amp;b=%222%22"' in html
    assert html.count('rel="noopener noreferrer nofollow"') == 2
    assert "<h6>deep</h6>" in notes.to_html("###### deep")


@pytest.mark.parametrize("text", ["a*b*c", "[x](https://y.example)", "# 1. - + <b> `c` ~d~ | e_f_"])
def test_a_literal_text_stays_as_it_is_written(text: str) -> None:
    assert notes.to_text(notes.literal(text)) == text
    assert notes.to_html(notes.literal(text)).count("<") == 2  # the paragraph alone


def test_the_findings_address_is_read_back() -> None:
    query = FindingsQuery("collections", "red ship", "sea", "Ada", "ab" * 32, "title", 3, "1" * 16)
    assert read_findings(query.params()) == (query, [])
    assert read_findings({}) == (FindingsQuery(), [])
    assert query.at(2).params()["page"] == "2"
    wrong = {
        "show": "x",
        "sort": "y",
        "page": "-1",
        "undo": "z",
        "word": "a\x00b\ud800 " + "c" * 999,
    }
    read, problems = read_findings(wrong)
    assert len(problems) == 3
    assert (read.show, read.sort, read.page, read.undo) == ("findings", "changed", 1, "")
    assert read.word.startswith("a b c") and len(read.word) == 120


def test_neurons_are_written_and_read() -> None:
    refs = (NeuronRef(9, 105), NeuronRef(0, 7))
    assert parse_neurons(format_neurons(refs)) == refs
    assert parse_neurons(" 9.105;9/105 0:7 ") == refs
    for wrong in ("9", "9.x", "9.1.2", "-1.2"):
        with pytest.raises(InputError, match="is not a neuron"):
            parse_neurons(wrong)
    with pytest.raises(InputError, match="200 neurons at most"):
        parse_neurons(",".join(f"0.{n}" for n in range(201)))
    kept = {"pictures": "grouped", "texts": 8, "share": 0.5}
    assert linkable(kept | {"A-b": "x", "list": [1], "flag": True, "none": None}) == kept


def test_a_token_opens_for_its_password_and_its_time_alone() -> None:
    token = access.token("open sesame", now=1000)
    assert access.valid(token, "open sesame", now=1001)
    assert not access.valid(token, "open sesame", now=1000 + access.LASTS)
    assert not access.valid(token, "another", now=1001)
    ends, _, signature = token.partition(".")
    assert not access.valid(f"{int(ends) + 1}.{signature}", "open sesame", now=1001)
    for wrong in ("", ".", "9999999999.", "x.y", f"{ends}.é", "9" * 13 + ".a"):
        assert not access.valid(wrong, "open sesame", now=1001)


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        *(("127.0.0.1", True), ("localhost", True), ("::1", True), ("[::1]", True)),
        *(("127.8.9.1", True), ("unix:///run/x", True), (None, False), ("", False)),
        *(("0.0.0.0", False), ("::", False), ("192.168.1.4", False), ("my-host", False)),
    ],
)
def test_a_server_that_others_can_reach_says_so(address: str | None, safe: bool) -> None:
    warning = access.exposure(address, {})
    assert bool(warning) is not safe
    assert access.exposure(address, {"EXPLORER_PASSWORD": "x"}) == ""
    named = {"EXPLORER_PASSWORD": "x", "EXPLORER_USER_HEADER": "X-User"}
    assert ("past the proxy can take any name" in access.exposure(address, named)) is not safe
    if not safe:
        assert "EXPLORER_PASSWORD" in warning and (address or "every address") in warning


def test_what_is_no_header_is_said() -> None:
    with pytest.raises(InputError, match="X-Forwarded-User"):
        access.user_header({"EXPLORER_USER_HEADER": "no header\n"})


def test_serve_starts_the_app_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    class Server:
        def __init__(self, command: list[str], **_: object) -> None:
            started.append(command)

        def wait(self) -> int:
            return 0

    monkeypatch.setattr(serve.subprocess, "Popen", Server)
    assert main(["serve", "--address", "0.0.0.0", "--port", "8888", "--json"]) == 0
    assert started[0][-4:] == ["--server.address", "0.0.0.0", "--server.port", "8888"]


def test_serve_needs_the_apps_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "APP", serve.APP.parent / "nowhere" / "app.py")
    assert main(["serve"]) == 2


def test_a_bundles_identity_outlives_its_evidence(bundle_copy: Any) -> None:
    from explorer.bundle import Bundle, reseal_evidence
    from explorer.findings.snapshot import reference

    before = Bundle.open(bundle_copy)
    after = reseal_evidence(before, {"recall": {"recall@1": 0.5}})
    assert after.manifest.identity == before.manifest.identity
    assert reference(after) == reference(before) != BUNDLE
    assert after.manifest.model_copy(update={"centre": False}).identity != before.manifest.identity
