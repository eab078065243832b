"""The findings pages through AppTest: parameters set, absent and wrong; edits, conflicts, undo."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import replace
from html import escape, unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.runtime.context import StreamlitHeaders
from streamlit.testing.v1 import AppTest

from explorer.bundle import Bundle
from explorer.bundle.originals import whole_picture
from explorer.errors import InputError, StoreError
from explorer.findings import archive
from explorer.findings.database import FILE, FOLDER_VARIABLE, URL_VARIABLE, database_url
from explorer.findings.model import (
    NOTE_LENGTH,
    BundleRef,
    Collection,
    Finding,
    NeuronRef,
    SavedFinding,
)
from explorer.findings.queries import Wanted
from explorer.findings.snapshot import reference, take
from explorer.findings.store import Store
from explorer.picture.study import Study
from explorer.ui.address.address import PAGES, href
from explorer.ui.core import access, glossary
from explorer.ui.data import findings_data, loaders
from explorer.ui.data.loaders import View
from explorer.ui.findings import cards, heatmaps, share
from explorer.ui.findings.pictures import images_of
from explorer.ui.html import maps
from explorer.ui.server import startup as server
from explorer.ui.shell import frame, gate
from explorer.ui.widgets import save_finding
from tests.support.app import html_of, run_page
from tests.support.findings import own_picture, picture, sample, view
from tests.support.hostile import HOSTILE, assert_harmless

ELSEWHERE = "5" * 16
EVIL = "<img src=x onerror=a()>"
NOTE = "Note (Markdown)"


@pytest.fixture(autouse=True)
def _places(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tiny_bundle.parent))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "data"))
    for name in (URL_VARIABLE, access.PASSWORD_VARIABLE, access.HEADER_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    context(monkeypatch)  # AppTest's own answers every question with a mock
    findings_data._silent.clear()


def context(monkeypatch: pytest.MonkeyPatch, **parts: Any) -> None:
    known = {"headers": {}, "cookies": {}, "url": ""} | parts
    known["headers"] = StreamlitHeaders(known["headers"].items())
    monkeypatch.setattr(gate.st, "context", SimpleNamespace(**known))


@pytest.fixture(autouse=True)
def went(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where actions send the browser."""
    seen: list[str] = []
    monkeypatch.setattr(frame, "go", lambda page, /, **params: seen.append(href(page, **params)))
    return seen


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


@pytest.fixture
def store(_places: None) -> Iterator[Store]:
    opened = Store(database_url())
    yield opened
    opened.close()


@pytest.fixture
def ship(store: Store, bundle: Bundle) -> SavedFinding:
    return store.add(sample(bundle=reference(bundle)))


def click(app: AppTest, label: str) -> AppTest:
    next(button for button in app.button if button.label == label).click()
    app.run()
    assert not app.exception, app.exception
    return app


def boxed(boxes: Any, label: str) -> Any:
    """Return the box with this label."""
    return next(box for box in boxes if box.label == label)


CASES = [
    ({}, "1</b> finding, 1 to 1 shown", None),
    ({"word": "ships"}, "Ships and cars", None),
    ({"word": "zebra"}, "No finding matches", None),
    ({"word": "0.7"}, "Ships and cars", None),  # a neuron
    ({"word": "0.8"}, "No finding matches", None),
    ({"tag": "cars"}, "Ships and cars", None),
    ({"tag": "nothing"}, "No finding matches", None),
    ({"author": "Ada"}, "Ships and cars", None),
    ({"author": "Bob"}, "No finding matches", None),
    ({"of": "0" * 64}, "No finding matches", None),
    ({"sort": "title"}, "Ships and cars", None),
    ({"sort": "beauty"}, "Ships and cars", "“beauty” is not a value"),
    ({"page": "9"}, "1 to 1 shown", None),
    ({"page": "x"}, "1 to 1 shown", "not a page number"),
    ({"show": "collections"}, "computed from this bundle", None),
    ({"show": "deleted"}, "Nothing deleted", None),
    ({"show": "import"}, "checked before anything is stored", None),
    ({"show": "nothing"}, "Ships and cars", "“nothing” is not a value"),
    ({"undo": "nonsense"}, "Ships and cars", None),
    ({"undo": ELSEWHERE}, "Findings", "There is no finding"),
    ({"bundle": "nowhere"}, "Ships and cars", "There is no bundle"),
    ({"word": EVIL}, "No finding matches", None),
]


@pytest.mark.parametrize("through_app", [False, True], ids=["alone", "app"])
@pytest.mark.parametrize(("params", "shown", "problem"), CASES)
def test_the_list_shows_what_its_address_says(
    params: dict[str, str], shown: str, problem: str | None, through_app: bool, ship: SavedFinding
) -> None:
    html = html_of(run_page("findings", through_app, **params))
    assert shown in html
    assert html.count('class="notice"') == (problem is not None)
    assert problem is None or problem in html
    assert EVIL not in html


def test_an_empty_list_says_how_to_begin() -> None:
    html = html_of(run_page("findings"))
    assert "No findings yet" in html
    assert "collection?bundle=tiny&amp;id=report" in html


@pytest.mark.parametrize("page", ["finding", "collection"])
@pytest.mark.parametrize("identifier", ["", "x", EVIL, ELSEWHERE])
def test_a_wrong_id_is_one_sentence(page: str, identifier: str) -> None:
    html = html_of(run_page(page, id=identifier))
    assert f"This {page} cannot be shown" in html
    assert html.count('class="notice"') == 1
    assert (f"No {page} was named." in html) is (not identifier)
    assert EVIL not in html


def test_a_findings_page_shows_it_all(ship: SavedFinding, bundle: Bundle) -> None:
    app = run_page("finding", id=ship.id)
    html = html_of(app)
    assert "<h1>Ships and cars</h1>" in html
    assert "<strong>move</strong>" in html
    assert "neuron?pictures=grouped&amp;bundle=tiny&amp;layer=1&amp;neuron=5" in html
    assert "Layer 0 · Neuron 7" in html
    assert "findings?bundle=tiny&amp;tag=ships" in html
    assert f"finding?bundle=tiny&id={ship.id}" in app.code[0].value
    labels = [button.proto.label for button in app.get("download_button")]
    assert labels == ["Web page (HTML)", "JSON and pictures", "Neurons (CSV)", "Slide (PNG)"]


def test_other_findings_are_shown_as_far_as_they_can_be(store: Store, bundle: Bundle) -> None:
    about = reference(bundle)
    seen = store.add(picture("Seen", bundle=about, texts=(EVIL,)))
    html = html_of(run_page("finding", id=seen.id))
    assert "Picture 3" in html and "&lt;img src=x" in html and EVIL not in html
    gone = store.add(picture("Gone", bundle=about, image=400))
    assert "has no picture 400" in html_of(run_page("finding", id=gone.id))
    absent = store.add(sample("Absent"))
    assert "is not here" in html_of(run_page("finding", id=absent.id))
    many = tuple(NeuronRef(0, number) for number in (1, 2, 3, 4, 5, 999))
    crowd = store.add(sample("Crowd", bundle=about, neurons=many))
    html = html_of(run_page("finding", id=crowd.id))
    assert "<h2>5 neurons</h2>" in html and "1 of its neurons are not in this bundle" in html
    assert html_of(run_page("findings")).count('class="card"') == 4


def form_alone() -> None:
    """The form of the dialog on a page of its own: AppTest runs whole pages only."""
    from pathlib import Path

    import streamlit as st

    from explorer.findings.model import NeuronRef
    from explorer.ui.data import loaders
    from explorer.ui.widgets import save_finding

    view = loaders.open_view("tiny", Path(st.session_state["bundle"]))
    draft = save_finding.Draft((NeuronRef(1, 5),), settings={"pictures": "grouped"}, title="A")
    save_finding.form(view, draft)


def opened(tiny_bundle: Path) -> AppTest:
    app = AppTest.from_function(form_alone, default_timeout=60)
    app.session_state["bundle"] = str(tiny_bundle)
    app.run()
    assert not app.exception, app.exception
    return app


def test_the_neurons_page_opens_the_form() -> None:
    app = click(run_page("neuron", layer="1", neuron="5", pictures="grouped"), "Save as finding")
    assert app.text_input(key="_save_neurons").value == "1.5"
    assert app.text_input(key="_save_title").value


def test_saving_from_a_neurons_page(store: Store, bundle: Bundle, went: list[str]) -> None:
    app = opened(bundle.path)
    app.text_input(key="_save_title").set_value("  Ships   & cars ")
    app.text_input(key="_save_neurons").set_value("1.5, 0.7")
    app.text_area(key="_save_note").set_value("They *move*")
    app.text_input(key="_save_tags").set_value("Ships, cars")
    app.text_input(key="_save_author").set_value("Ada")
    app.selectbox(key="_save_group").set_value("a new one")
    app.text_input(key="_save_name").set_value("Vehicles")
    click(app, "Save")
    (saved,) = store.find(Wanted())
    assert saved.content == Finding(
        bundle=reference(bundle),
        title="Ships & cars",
        neurons=(NeuronRef(1, 5), NeuronRef(0, 7)),
        settings={"pictures": "grouped"},
        note="They *move*",
        tags=("cars", "ships"),
        author="Ada",
    )
    (group,) = store.collections()
    assert group.content == Collection("Vehicles", (saved.id,), author="Ada")
    assert went[-1] == f"finding?bundle=tiny&id={saved.id}"
    html = html_of(run_page("neuron", layer="0", neuron="7"))
    assert f"finding?bundle=tiny&amp;id={saved.id}" in html


@pytest.mark.parametrize("choice", ["none", "Trucks"])
def test_a_typed_title_makes_a_new_collection_whatever_the_list_says(
    store: Store, tiny_bundle: Path, went: list[str], choice: str
) -> None:
    """A bug: the title was ignored unless the list said “a new one”."""
    other = store.add_collection(Collection("Trucks"))
    app = opened(tiny_bundle)
    app.selectbox(key="_save_group").set_value(other.id if choice == "Trucks" else choice)
    app.text_input(key="_save_name").set_value("Vehicles")
    click(app, "Save")
    (saved,) = store.find(Wanted())
    found = {group.content.title: group.content.findings for group in store.collections()}
    assert found == {"Trucks": (), "Vehicles": (saved.id,)}


def test_a_typed_title_makes_a_new_collection_on_a_findings_page(
    ship: SavedFinding, store: Store
) -> None:
    store.add_collection(Collection("Trucks"))
    app = run_page("finding", id=ship.id)
    app.text_input(key="_add_name").set_value("Vehicles")
    click(app, "Add")
    found = {group.content.title: group.content.findings for group in store.collections()}
    assert found == {"Trucks": (), "Vehicles": (ship.id,)}


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("_save_title", "", "needs a title"),
        ("_save_neurons", "1.999", "choose 0 to 127"),
        ("_save_neurons", "x", "is not a neuron"),
        ("_save_neurons", "", "about neurons or about a picture"),
        ("_save_tags", "x" * 50, "A tag has 50"),
    ],
)
def test_what_cannot_be_saved_is_said(
    store: Store, tiny_bundle: Path, key: str, value: str, reason: str
) -> None:
    app = opened(tiny_bundle)
    app.text_input(key=key).set_value(value)
    click(app, "Save")
    assert reason in html_of(app)
    assert store.count(Wanted()) == 0


def test_a_database_out_of_reach_stops_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL_VARIABLE, "postgresql://127.0.0.1:1/nothing")
    app = run_page("neuron", layer="1", neuron="5")
    assert "Layer 1 · Neuron 5" in html_of(app)
    assert "cannot be used" in html_of(click(app, "Save as finding"))
    for page in ("findings", "finding", "collection"):
        assert "cannot be used" in html_of(run_page(page, id=ELSEWHERE))


def test_editing_a_finding(ship: SavedFinding, store: Store, went: list[str]) -> None:
    app = run_page("finding", id=ship.id, edit="1")
    assert app.text_input(key=f"_edit_neurons_{ship.id}").value == "1.5, 0.7"
    app.text_input(key=f"_edit_title_{ship.id}").set_value("Vehicles")
    app.text_input(key=f"_edit_tags_{ship.id}").set_value("")
    click(app, "Save")
    now = store.get(ship.id)
    assert now.content == replace(ship.content, title="Vehicles", tags=())
    assert now.version == 2
    assert went[-1] == f"finding?bundle=tiny&id={ship.id}"
    wrong = run_page("finding", id=ship.id, edit="1")
    wrong.text_input(key=f"_edit_neurons_{ship.id}").set_value("0.999")
    assert "choose 0 to 127" in html_of(click(wrong, "Save"))


def test_two_people_editing_see_each_others_changes(ship: SavedFinding, store: Store) -> None:
    app = run_page("finding", id=ship.id, edit="1")
    app.text_area(key=f"_edit_note_{ship.id}").set_value("mine")
    store.save(ship.id, 1, replace(ship.content, note="*theirs*", author="Grace"))
    html = html_of(click(app, "Save"))
    assert "was changed meanwhile" in html and "<em>theirs</em>" in html
    assert store.get(ship.id).content.note == "*theirs*"
    assert app.text_area(key=f"_edit_note_{ship.id}").value == "mine"  # nothing typed is lost
    click(app, "Save")  # now knowing
    assert store.get(ship.id).content.note == "mine"
    late = run_page("finding", id=ship.id, edit="1")
    late.text_area(key=f"_edit_note_{ship.id}").set_value("late")
    store.delete(ship.id, store.get(ship.id).version)
    html = html_of(click(late, "Save"))
    assert "This finding was deleted meanwhile" in html
    click(late, "Restore it")
    assert late.text_area(key=f"_edit_note_{ship.id}").value == "late"
    assert "was changed meanwhile" in html_of(click(late, "Save"))
    click(late, "Save")
    assert store.get(ship.id).content.note == "late"


def test_a_finding_erased_while_it_is_edited_takes_no_text_with_it(
    ship: SavedFinding, store: Store
) -> None:
    app = run_page("finding", id=ship.id, edit="1")
    app.text_area(key=f"_edit_note_{ship.id}").set_value("mine")
    store.delete(ship.id, 1)
    store.purge(ship.id)
    assert "There is no finding" in html_of(click(app, "Save"))
    assert app.text_area(key=f"_edit_note_{ship.id}").value == "mine"


def test_an_edit_begins_anew_from_what_is_stored_then(ship: SavedFinding, store: Store) -> None:
    app = run_page("finding", id=ship.id, edit="1")
    app.text_input(key=f"_edit_title_{ship.id}").set_value("given up")
    app.run()
    app.query_params["edit"] = "0"
    app.run()
    store.save(ship.id, 1, replace(ship.content, title="Theirs"))
    app.query_params["edit"] = "1"
    app.run()
    assert app.text_input(key=f"_edit_title_{ship.id}").value == "Theirs"
    click(app, "Save")
    assert store.get(ship.id).content.title == "Theirs"


def test_a_database_that_fails_while_one_writes_takes_no_text_with_it(
    ship: SavedFinding, store: Store, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise StoreError("The database is gone.")

    group = store.add_collection(Collection("Mine"))
    edit, new = run_page("finding", id=ship.id, edit="1"), opened(tiny_bundle)
    edit.text_area(key=f"_edit_note_{ship.id}").set_value("mine")
    new.text_input(key="_save_title").set_value("Long thought")
    new.selectbox(key="_save_group").set_value(group.id)
    with monkeypatch.context() as out:
        for name in ("get", "save", "add", "titles"):
            out.setattr(Store, name, broken)
        assert "The database is gone" in html_of(click(edit, "Save"))
        assert "The database is gone" in html_of(click(new, "Save"))
    click(edit, "Save")
    click(new, "Save")
    assert store.get(ship.id).content.note == "mine"
    (made,) = store.members(store.get_collection(group.id))
    assert made.content.title == "Long thought"


def test_a_database_file_that_goes_away_and_returns_takes_no_text_with_it(
    ship: SavedFinding, store: Store, tiny_bundle: Path, tmp_path: Path
) -> None:
    file, away = tmp_path / "data" / FILE, tmp_path / "away"
    edit, new = run_page("finding", id=ship.id, edit="1"), opened(tiny_bundle)
    edit.text_area(key=f"_edit_note_{ship.id}").set_value("mine")
    new.text_input(key="_save_title").set_value("Long thought")
    file.rename(away)
    for app in (edit, new):
        assert "was moved while this server was running" in html_of(click(app, "Save"))
    away.rename(file)
    click(edit, "Save")
    click(new, "Save")
    assert store.get(ship.id).content.note == "mine"
    assert {saved.content.title for saved in store.find(Wanted())} >= {"Long thought"}


def test_an_edit_that_outlived_its_session_overwrites_nothing_unseen(
    ship: SavedFinding, store: Store
) -> None:
    """A computer wakes: the session is new, the browser still holds what was typed."""
    store.save(ship.id, 1, replace(ship.content, note="*theirs*"))
    awake = run_page("finding", id=ship.id, edit="1")  # the edit began from version 1
    html = html_of(awake)
    assert "was changed since this edit began" in html and "<em>theirs</em>" in html
    awake.text_area(key=f"_edit_note_{ship.id}").set_value("mine")
    click(awake, "Save")
    assert store.get(ship.id).content.note == "mine"
    now = run_page("finding", id=ship.id)
    assert f"edit={store.get(ship.id).version}" in html_of(now)
    assert "since this edit began" not in html_of(run_page("finding", id=ship.id, edit="3"))


def test_a_collections_form_that_outlived_its_session_is_not_taken_for_the_new_one(
    store: Store, bundle: Bundle
) -> None:
    group = store.add_collection(Collection("Mine", note="old"))
    key = boxed(run_page("collection", id=group.id).text_area, NOTE).key
    again = store.save_collection(group.id, 1, replace(group.content, findings=()))
    assert boxed(run_page("collection", id=group.id).text_area, NOTE).key == key  # typed text stays
    store.save_collection(group.id, again.version, replace(group.content, note="theirs"))
    awake = boxed(run_page("collection", id=group.id).text_area, NOTE)
    assert awake.key != key and awake.value == "theirs"


def test_two_tabs_of_one_user_stand_in_each_others_way_no_more_than_two_users(
    ship: SavedFinding, store: Store, monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path
) -> None:
    monkeypatch.setenv(access.HEADER_VARIABLE, "X-User")
    context(monkeypatch, headers={"X-User": "Ada"})
    one, other = (run_page("finding", id=ship.id, edit="1") for _ in range(2))
    one.text_area(key=f"_edit_note_{ship.id}").set_value("one")
    other.text_area(key=f"_edit_note_{ship.id}").set_value("other")
    click(one, "Save")
    assert "was changed meanwhile" in html_of(click(other, "Save"))
    assert store.get(ship.id).content.note == "one"
    first, second = opened(tiny_bundle), opened(tiny_bundle)
    click(first, "Save")
    click(second, "Save")  # two findings: each tab has its own draft
    assert store.count(Wanted()) == 3


def test_of_a_note_of_a_megabyte_the_form_takes_as_much_as_it_says(
    ship: SavedFinding, store: Store, tiny_bundle: Path
) -> None:
    long = "word " * 200_000
    edit, new = run_page("finding", id=ship.id, edit="1"), opened(tiny_bundle)
    edit.text_area(key=f"_edit_note_{ship.id}").set_value(long)
    new.text_area(key="_save_note").set_value(long)
    for app in (edit, new):
        click(app, "Save")
    assert {len(saved.content.note) for saved in store.find(Wanted())} == {NOTE_LENGTH}
    assert store.count(Wanted()) == 2
    run_page("finding", id=ship.id)


TURNED = "\u202eevil\u2066 שלום"


def test_right_to_left_texts_turn_nothing_beside_them(store: Store, bundle: Bundle) -> None:
    about = reference(bundle)
    made = store.add(sample(TURNED, bundle=about, author=TURNED, note="", tags=("\u202dx",)))
    for page, params in (("findings", {}), ("finding", {"id": made.id})):
        html = html_of(run_page(page, **params))
        texts = re.sub(r"<[^>]*>", "\n", html)  # each text by itself
        shown = [text for text in texts.splitlines() if "\u202e" in text]
        assert shown
        for text in shown:
            assert text.count("\u202e") == text.count("\u202c"), ascii(text)
            assert text.count("\u2066") == text.count("\u2069"), ascii(text)


@pytest.mark.parametrize(
    ("page", "params", "label"),
    [
        ("finding", {"id": "ship"}, "Delete"),
        ("finding", {"id": "gone"}, "Restore it"),
        ("findings", {"show": "deleted"}, "Restore"),
        ("findings", {"show": "deleted"}, "Delete it"),
        ("findings", {"undo": "gone"}, "Undo"),
        ("collection", {"id": "group"}, "Delete this collection"),
        ("collection", {"id": "report"}, "Copy to the collections"),
    ],
)
def test_a_button_that_cannot_do_its_work_says_why(
    page: str,
    params: dict[str, str],
    label: str,
    ship: SavedFinding,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise StoreError("The database is gone.")

    gone = store.add(sample("Gone"))
    store.delete(gone.id, 1)
    ids = {"ship": ship.id, "gone": gone.id, "group": store.add_collection(Collection("G")).id}
    monkeypatch.setattr("explorer.ui.findings.collection._findings", lambda view: [ship.content])
    st.cache_resource.clear()  # of a report that was held before
    app = run_page(page, **{key: ids.get(value, value) for key, value in params.items()})
    for name in ("delete", "restore", "purge", "delete_collection", "add_collection"):
        monkeypatch.setattr(Store, name, broken)
    assert html_of(click(app, label)).count("The database is gone.") == 1
    st.cache_resource.clear()


def test_deleting_and_undoing(ship: SavedFinding, store: Store, went: list[str]) -> None:
    app = run_page("finding", id=ship.id)
    store.save(ship.id, 1, ship.content)
    assert "changed meanwhile" in html_of(click(app, "Delete"))
    click(run_page("finding", id=ship.id), "Delete")
    assert went == [f"findings?bundle=tiny&undo={ship.id}"]
    assert store.get(ship.id).deleted
    listed = run_page("findings", undo=ship.id)
    assert "“Ships and cars” was deleted." in html_of(listed)
    click(listed, "Undo")
    assert went[-1] == f"finding?bundle=tiny&id={ship.id}"
    assert store.get(ship.id).deleted is None
    assert "was deleted" not in html_of(run_page("findings", undo=ship.id))
    store.delete(ship.id, store.get(ship.id).version)
    click(run_page("finding", id=ship.id), "Restore it")
    assert store.get(ship.id).deleted is None
    store.delete(ship.id, store.get(ship.id).version)
    click(run_page("findings", show="deleted"), "Restore")
    store.delete(ship.id, store.get(ship.id).version)
    click(run_page("findings", show="deleted"), "Delete it")
    assert store.count(Wanted(deleted=True)) == 0
    group = store.add_collection(Collection("Gone too"))
    store.delete_collection(group.id, 1)
    assert "Collection: Gone too" in html_of(run_page("findings", show="deleted"))
    click(run_page("findings", show="deleted"), "Delete it")
    assert store.count_collections(deleted=True) == 0


@pytest.fixture
def three(store: Store, bundle: Bundle) -> tuple[Any, list[str]]:
    ids = [store.add(sample(f"Number {n}", bundle=reference(bundle))).id for n in range(3)]
    return store.add_collection(Collection("Three", tuple(ids), "in *order*", "Ada")), ids


def order(store: Store, group: Any) -> list[str]:
    return list(store.get_collection(group.id).content.findings)


def test_reordering_a_collection(three: tuple[Any, list[str]], store: Store) -> None:
    group, ids = three
    app = run_page("collection", id=group.id)
    html = html_of(app)
    assert html.index("Number 0") < html.index("Number 1") < html.index("Number 2")
    assert app.button(key=f"_up_{ids[0]}").disabled and app.button(key=f"_down_{ids[2]}").disabled
    app.button(key=f"_down_{ids[0]}").click().run()
    assert order(store, group) == [ids[1], ids[0], ids[2]]
    app.button(key=f"_up_{ids[2]}").click().run()
    assert order(store, group) == [ids[1], ids[2], ids[0]]
    store.append(group.id, store.add(sample("Late")).id)
    app.button(key=f"_out_{ids[1]}").click().run()  # from a page that is out of date
    assert "The stored version is shown" in html_of(app)
    assert len(order(store, group)) == 4
    app.button(key=f"_out_{ids[1]}").click().run()
    assert ids[1] not in order(store, group)


def test_a_collection_is_edited_deleted_and_brought_back(
    three: tuple[Any, list[str]], store: Store, went: list[str]
) -> None:
    group, ids = three
    app = run_page("collection", id=group.id)
    boxed(app.text_input, "Title").set_value("Renamed")
    click(app, "Save")
    now = store.get_collection(group.id)
    assert (now.content.title, now.content.findings) == ("Renamed", tuple(ids))
    boxed(app.text_input, "Title").set_value(" ")
    assert "needs a title" in html_of(click(app, "Save"))
    app = click(run_page("collection", id=group.id), "Delete this collection")
    assert went[-1] == f"findings?bundle=tiny&show=collections&undo={group.id}"
    click(run_page("findings", show="collections", undo=group.id), "Undo")
    assert store.get_collection(group.id).deleted is None
    store.delete_collection(group.id, store.get_collection(group.id).version)
    click(run_page("findings", show="deleted"), "Restore")
    stale = run_page("collection", id=group.id)
    store.save_collection(group.id, store.get_collection(group.id).version, now.content)
    assert "changed meanwhile" in html_of(click(stale, "Delete this collection"))
    store.delete_collection(group.id, store.get_collection(group.id).version)
    click(run_page("collection", id=group.id), "Restore it")
    assert order(store, group) == ids


def test_two_people_editing_a_collections_texts(three: tuple[Any, list[str]], store: Store) -> None:
    group, ids = three
    app = run_page("collection", id=group.id)
    store.save_collection(
        group.id, 1, replace(group.content, findings=(*ids[1:], ids[0]))
    )  # another order stands in no text's way
    boxed(app.text_area, NOTE).set_value("first")
    click(app, "Save")
    now = store.get_collection(group.id)
    assert (now.content.note, now.content.findings[-1]) == ("first", ids[0])
    boxed(app.text_area, NOTE).set_value("mine")
    store.save_collection(group.id, now.version, replace(now.content, note="*theirs*"))
    html = html_of(click(app, "Save"))
    assert "were changed meanwhile" in html and "<em>theirs</em>" in html
    assert store.get_collection(group.id).content.note == "*theirs*"
    assert boxed(app.text_area, NOTE).value == "mine"
    assert boxed(app.text_input, "Title").value == "Three"
    click(app, "Save")
    assert store.get_collection(group.id).content.note == "mine"


def test_a_long_collection_comes_in_pages_and_moves_far(store: Store, bundle: Bundle) -> None:
    about = reference(bundle)
    texts = [sample(f"Number {n:02d}", bundle=about) for n in range(23)]
    group = store.add_collection(Collection("Long"), texts)
    ids = list(group.content.findings)
    app = run_page("collection", id=group.id, page="2")
    html = html_of(app)
    assert "page 2 of 2" in html and "Number 22" in html and "Number 19" not in html
    assert not app.button(key=f"_up_{ids[20]}").disabled
    app.button(key=f"_up_{ids[20]}").click().run()
    assert order(store, group)[19:21] == [ids[20], ids[19]]
    app.number_input(key="_further_from").set_value(23)
    app.number_input(key="_further_to").set_value(1)
    click(app, "Move")
    assert order(store, group)[:2] == [ids[22], ids[0]]
    for odd in ("9", "x", "0"):
        assert "page 1 of 2" in html_of(run_page("collection", id=group.id, page=odd)) or odd == "9"


def test_a_collection_too_large_for_one_file_says_so(
    store: Store, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = store.add_collection(Collection("Mine"), [own_picture(bundle=reference(bundle))])

    def labels() -> list[str]:
        app = run_page("collection", id=group.id)
        said = "too much for one file" in html_of(app)
        found = [button.proto.label for button in app.get("download_button")]
        assert said is ("JSON and pictures" not in found)
        return found

    assert "JSON and pictures" in labels()
    monkeypatch.setattr(share, "MOST_COPIED", 100)
    assert labels() == ["Web page (HTML)", "Neurons (CSV)"]


def test_many_collections_and_deleted_ones_come_in_pages(store: Store) -> None:
    groups = [store.add_collection(Collection(f"Group {n:02d}", note="x")) for n in range(22)]
    html = html_of(run_page("findings", show="collections"))
    assert html.count('class="card"') == 21 and "page 1 of 2" in html  # the report's, too
    app = run_page("findings", show="collections", page="2")
    assert html_of(app).count('class="card"') == 3
    app.text_input(key="_word").set_value(" group  07 ").run()
    assert dict(app.query_params)["word"] in ("group 07", ["group 07"])
    assert html_of(app).count('class="card"') == 1
    assert "No collection contains" in html_of(
        run_page("findings", show="collections", word="zebra")
    )
    for group in groups:
        store.delete_collection(group.id, 1)
    assert "page 2 of 2" in html_of(run_page("findings", show="deleted", page="9"))


def test_collections_are_made_and_filled(ship: SavedFinding, store: Store, went: list[str]) -> None:
    app = run_page("findings", show="collections")
    app.text_input(key="_new_title").set_value("Mine")
    click(app, "Create")
    (group,) = store.collections()
    assert went[-1] == f"collection?bundle=tiny&id={group.id}"
    assert "Add findings from their own pages" in html_of(run_page("collection", id=group.id))
    finding = run_page("finding", id=ship.id)
    finding.selectbox(key="_add_group").set_value(group.id)
    assert f"id={group.id}" in html_of(click(finding, "Add"))
    assert order(store, group) == [ship.id]
    assert "needs a title" in html_of(click(run_page("finding", id=ship.id), "Add"))
    other = run_page("finding", id=ship.id)
    other.text_input(key="_add_name").set_value("Second")
    click(other, "Add")
    assert set(store.titles(holding=ship.id).values()) == {"Mine", "Second"}
    assert "1 finding<" in html_of(run_page("findings", show="collections"))
    empty = run_page("findings", show="collections")
    assert "needs a title" in html_of(click(empty, "Create"))


def test_the_report_is_opened_and_copied(
    store: Store, monkeypatch: pytest.MonkeyPatch, went: list[str], untested_bundle: Path
) -> None:
    """On a bundle whose labels alone decide: of the random tower's meanings none passes."""
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(untested_bundle.parent))
    monkeypatch.setattr("explorer.findings.report.GROUP", 2)
    monkeypatch.setattr("explorer.findings.report.AGREEING", 2)
    app = run_page("collection", id="report")
    count = html_of(app).count('class="card"')
    assert count > 0
    click(app, "Copy to the collections")
    (group,) = store.collections()
    assert len(group.content.findings) == count
    assert went[-1] == f"collection?bundle=untested&id={group.id}"


def test_a_bundle_without_a_report_says_so(monkeypatch: pytest.MonkeyPatch, bundle: Bundle) -> None:
    monkeypatch.setattr("explorer.ui.findings.collection._findings", lambda view: [])
    st.cache_resource.clear()
    assert "No neuron has meanings" in html_of(run_page("collection", id="report"))
    st.cache_resource.clear()


def test_filters_and_parts_change_the_address(ship: SavedFinding) -> None:
    app = run_page("findings")
    app.selectbox(key="_tag").set_value("cars").run()
    assert app.query_params["tag"] == "cars"
    app.text_input(key="_word").set_value(" ships  and ").run()
    assert app.query_params["word"] == "ships and" and app.query_params["tag"] == "cars"
    app.selectbox(key="_sort").set_value("author").run()
    app.selectbox(key="_tag").set_value("all").run()
    assert app.query_params["sort"] == "author" and "tag" not in app.query_params
    app.segmented_control(key="_show").set_value("collections").run()
    assert app.query_params["show"] == "collections" and "word" not in app.query_params


def test_many_findings_come_in_pages(store: Store) -> None:
    for number in range(21):
        store.add(sample(f"Number {number:02d}"))
    html = html_of(run_page("findings", sort="title"))
    assert "1 to 20 shown" in html and "page 1 of 2" in html
    html = html_of(run_page("findings", sort="title", page="2"))
    assert "21 to 21 shown" in html and "Number 20" in html


def test_files_hold_the_findings(ship: SavedFinding, store: Store, bundle: Bundle) -> None:
    assert "Ships and cars" in share.html_of(ship, "http://here/")
    data = share.zip_of([ship])
    assert archive.read(data, findings_data.bundles()).findings == (ship,)
    assert share.csv_of([ship]).count("\n") == 3


def test_importing_a_file(
    ship: SavedFinding, store: Store, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = store.add_collection(Collection("Group", (ship.id,)))
    data = archive.write([take(ship, bundle)], [group])
    store.delete(ship.id, 1)
    store.purge(ship.id)
    store.delete_collection(group.id, 1)
    given: dict[str, bytes] = {"data": b"no zip"}
    upload = SimpleNamespace(getvalue=lambda: given["data"])
    monkeypatch.setattr(st, "file_uploader", lambda *_, **__: upload)
    assert "This file is refused: it is not a complete zip file" in html_of(
        run_page("findings", show="import")
    )
    given["data"] = data
    app = run_page("findings", show="import")
    assert "It holds 1 findings and 1 collections" in html_of(app)
    click(app, "Import findings")
    assert "✓ 1 added" in html_of(app)
    assert store.get(ship.id) == ship


def test_addresses_are_whole_where_the_browser_says_which(
    monkeypatch: pytest.MonkeyPatch, bundle: Bundle
) -> None:
    cases = {
        "http://here:8501/findings": "http://here:8501/",
        "https://x.example/base/finding?id=1": "https://x.example/base/",
        "http://here/": "http://here/",
        "http://here/lens": "http://here/lens/",
        "javascript:alert(1)": "",
        "": "",
    }
    for url, top in cases.items():
        monkeypatch.setattr(findings_data.st, "context", SimpleNamespace(url=url))
        assert findings_data.top_address() == top
    digest = reference(bundle).digest
    address = findings_data.whole_address("neuron", {"digest": digest, "layer": 1, "x": [1]})
    assert address == "neuron?layer=1&bundle=tiny"
    assert findings_data.whole_address("finding", {"digest": "0" * 64, "id": "a"}) == "finding?id=a"


def test_a_damaged_bundle_is_no_findings_bundle(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(bundle_copy.parent))
    about = reference(Bundle.open(bundle_copy))
    assert findings_data.view_of(about) is not None
    st.cache_resource.clear()
    (bundle_copy / "texts.parquet").unlink()
    assert findings_data.view_of(about) is None
    assert findings_data.bundles() == {}
    (bundle_copy / "manifest.json").write_text("{")
    assert findings_data.view_of(about) is None


def test_parts_escape_what_people_wrote(store: Store, bundle: Bundle) -> None:
    about = reference(bundle)
    written: dict[str, Any] = {"note": HOSTILE, "tags": (HOSTILE,), "author": HOSTILE}
    evil = store.add(sample(HOSTILE, bundle=about, **written))
    seen = store.add(picture(HOSTILE, bundle=about, texts=("red", HOSTILE), **written))
    mine = store.add(own_picture(HOSTILE, bundle=about, texts=(HOSTILE,), **written))
    lost = store.add(sample(HOSTILE, bundle=BundleRef(HOSTILE, "9" * 64), **written))
    group = store.add_collection(Collection(HOSTILE, (evil.id, mine.id), HOSTILE, HOSTILE))
    gone = store.add(sample(HOSTILE, bundle=about, **written))
    store.delete(gone.id, 1)
    for page, params, times in (
        ("findings", {}, 4 * 4),  # title, note, author and tag of each
        ("findings", {"show": "collections"}, 3),
        ("findings", {"show": "deleted"}, 2),
        ("findings", {"undo": gone.id}, 1),
        ("finding", {"id": evil.id}, 5),
        ("finding", {"id": evil.id, "edit": "1"}, 1),
        ("finding", {"id": seen.id}, 6),
        ("finding", {"id": mine.id}, 6),
        ("finding", {"id": lost.id}, 5),
        ("finding", {"id": gone.id}, 1),
        ("collection", {"id": group.id}, 3 + 2 * 3),
        ("neuron", {"layer": "1", "neuron": "5"}, 1),
    ):
        assert_harmless(html_of(run_page(page, **params)), shown=times)
    view = View("tiny", bundle)
    assert cards.excerpt("word " * 99).endswith("…")
    assert images_of(view, sample(bundle=about, neurons=(NeuronRef(0, 999),))) == []
    assert images_of(view, picture(bundle=about, image=999)) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_password_closes_every_page(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(access.PASSWORD_VARIABLE, "open sesame")
    monkeypatch.setattr(gate, "PAUSE", 0)
    app = run_page(page)
    assert "asks for a password" in html_of(app) and 'class="lens-nav"' not in html_of(app)
    app.text_input(key="_password").set_value("sesame")
    html = html_of(click(app, "Enter"))
    assert "not the password" in html and 'class="lens-nav"' not in html
    app.text_input(key="_password").set_value("open sesame")
    assert 'class="lens-nav"' in html_of(click(app, "Enter"))
    assert 'class="lens-nav"' in html_of(app.run())


def test_a_known_visitor_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(access.PASSWORD_VARIABLE, "open sesame")
    context(monkeypatch, cookies={gate.COOKIE: access.token("open sesame")})
    assert 'class="lens-nav"' in html_of(run_page("home"))
    context(monkeypatch, cookies={gate.COOKIE: access.token("another")})
    assert "asks for a password" in html_of(run_page("home"))


def test_the_proxys_user_signs_findings(
    monkeypatch: pytest.MonkeyPatch, store: Store, tiny_bundle: Path
) -> None:
    monkeypatch.setenv(access.HEADER_VARIABLE, "X-User")
    context(monkeypatch)
    assert "named no user in X-User" in html_of(run_page("home"))
    context(monkeypatch, headers={"X-User": " Ada  Lovelace "})
    app = opened(tiny_bundle)
    assert not [box for box in app.text_input if box.key == "_save_author"]
    click(app, "Save")
    (saved,) = store.find(Wanted())
    assert saved.content.author == "Ada Lovelace"
    edit = run_page("finding", id=saved.id, edit="1")
    assert not [box for box in edit.text_input if box.key.startswith("_edit_author")]
    monkeypatch.setenv(access.HEADER_VARIABLE, "no header")
    assert "misconfigured" in html_of(run_page("home"))


def test_a_header_that_a_visitor_sends_names_nobody(
    monkeypatch: pytest.MonkeyPatch, store: Store, tiny_bundle: Path
) -> None:
    context(monkeypatch, headers={"X-Forwarded-User": "Ada", "X-User": "Ada"})
    assert gate.user() == ""  # no proxy is trusted
    click(opened(tiny_bundle), "Save")
    assert [saved.content.author for saved in store.find(Wanted())] == [""]
    monkeypatch.setenv(access.HEADER_VARIABLE, "X-User")
    twice = StreamlitHeaders([("X-User", "Eve"), ("X-User", "Ada")])  # one added by the proxy
    monkeypatch.setattr(gate.st, "context", SimpleNamespace(headers=twice, cookies={}, url=""))
    html = html_of(run_page("home"))
    assert "named no user in X-User, or more than one" in html
    assert 'class="lens-nav"' not in html


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("Ünal".encode().decode("latin-1"), "Ünal"),
        ("Ünal", "Ünal"),
        ("שלום".encode().decode("latin-1"), "שלום"),
        ("A\x01da\x9b\u202e ", "A da"),
        ("<svg onload=alert(1)>", "<svg onload=alert(1)>"),
        (" ", ""),
        ("n" * 500, "n" * 80),
    ],
)
def test_names_that_proxies_send_can_sign_a_finding(
    sent: str, name: str, monkeypatch: pytest.MonkeyPatch, bundle: Bundle, store: Store
) -> None:
    monkeypatch.setenv(access.HEADER_VARIABLE, "X-User")
    context(monkeypatch, headers={"X-User": sent})
    assert gate.user() == name
    if name:
        saved = store.add(sample(bundle=reference(bundle), author=gate.user()))
        assert "<svg" not in html_of(run_page("finding", id=saved.id))


@pytest.mark.parametrize("address", ["localhost", "0.0.0.0", None])
def test_an_open_server_says_so_as_it_starts(
    address: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server.st, "get_option", {"server.address": address}.__getitem__)
    server.warn()
    open_to_all = "has no password" in capsys.readouterr().err
    assert open_to_all is (address != "localhost")
    monkeypatch.setenv(access.PASSWORD_VARIABLE, "x")
    server.warn()
    assert not capsys.readouterr().err
    monkeypatch.delenv(access.PASSWORD_VARIABLE)
    monkeypatch.setenv(access.HEADER_VARIABLE, "no header")
    server.warn()
    assert "X-Forwarded-User" in capsys.readouterr().err


# --- saving from other pages, and the heatmaps of a finding ------------------------------------


@pytest.fixture
def drafts(monkeypatch: pytest.MonkeyPatch) -> list[save_finding.Draft]:
    """What pages hand to the form."""
    seen: list[save_finding.Draft] = []
    monkeypatch.setattr(save_finding, "_dialog", lambda view, draft: seen.append(draft))
    return seen


def test_a_picture_is_saved_with_its_texts_and_settings(drafts: list[save_finding.Draft]) -> None:
    click(run_page("image", image="3", texts="red,blue circle", opacity="60"), "Save as finding")
    (draft,) = drafts
    assert (draft.image, draft.texts, draft.neurons) == (3, ("red", "blue circle"), ())
    assert draft.settings == {"opacity": "60"}
    assert draft.title == "red, blue circle in Picture 3: green circle"


def test_an_example_scene_is_saved_as_a_picture_of_its_own(
    drafts: list[save_finding.Draft],
) -> None:
    click(run_page("image", scene="0", opacity="60", texts="red"), "Save as finding")
    (draft,) = drafts
    assert (draft.image, draft.neurons, draft.settings) == (None, (), {"opacity": "60"})
    assert draft.picture is not None
    assert draft.title == "red in Example 1"


def test_a_picture_of_its_own_is_shown_listed_and_opened_again(tiny_bundle: Path) -> None:
    about = reference(Bundle.open(tiny_bundle))
    content = own_picture(bundle=about, settings={"opacity": "60"})
    stored = findings_data.store().add(content)
    group = findings_data.store().add_collection(Collection("Mine", (stored.id,)))
    shown = html_of(run_page("finding", id=stored.id))
    assert shown.count("data:image/webp") == 1
    assert "Where “circle” comes from" in shown
    links = re.findall(r'<h2><a href="([^"]*)" data-page="image"', shown)
    (address,) = [dict(parse_qsl(urlsplit(unescape(link)).query)) for link in links]
    assert address == {
        "bundle": "tiny", "finding": stored.id, "texts": "circle", "opacity": "60",
    }  # fmt: skip
    assert "data:image/webp" in html_of(run_page("findings"))
    assert "data:image/webp" in html_of(run_page("collection", id=group.id))
    opened = run_page("image", **address)
    assert [title.value for title in opened.text_input if title.label.startswith("Texts")] == [
        "circle"
    ]
    said = html_of(opened)
    assert "120 × 60 pixels" in said
    assert "<h2>My own</h2>" in said


@pytest.mark.parametrize(
    ("asked", "reason"),
    [("nonsense", "is not an id"), (ELSEWHERE, "no finding"), ("", "")],
)
def test_an_address_without_such_a_picture_says_so(asked: str, reason: str) -> None:
    assert reason in html_of(run_page("image", finding=asked))


def test_a_finding_about_neurons_has_no_picture_to_open(tiny_bundle: Path) -> None:
    stored = findings_data.store().add(sample(bundle=reference(Bundle.open(tiny_bundle))))
    assert "holds no picture of its own" in html_of(run_page("image", finding=stored.id))


def test_a_comparison_and_a_list_are_saved_with_all_their_neurons(
    drafts: list[save_finding.Draft],
) -> None:
    click(run_page("compare", pins="1.5,0.7"), "Save as finding")
    click(run_page("neurons", list="Mine", neurons="2.9,1.5,0.1"), "Save as finding")
    compared, listed = drafts
    assert set(compared.neurons) == {NeuronRef(1, 5), NeuronRef(0, 7)}
    assert compared.title == "2 neurons compared"
    assert [ref.layer for ref in listed.neurons] == [2, 1, 0]
    assert listed.title == "Mine"


PLACES: list[tuple[str, dict[str, str]]] = [
    ("search", {"q": "red + blue", "show": "towards"}),
    ("search", {"image": "3"}),
    ("concept", {"text": "red circle"}),
    ("atlas", {"neurons": "2.9,1.5", "colour": "polysemy"}),
    ("compare", {"pins": "1.5,0.7"}),
    ("search", {"q": "red", "of": "heads", "above": "0"}),
    ("compare", {"pins": "1.5,1.5@2.0"}),
    ("atlas", {"of": "heads", "neurons": "2.9,1.5"}),
    ("neurons", {"list": "Mine", "neurons": "2.9,1.5"}),
    ("neurons", {"layers": "1", "sort": "polysemy", "view": "table"}),
]


BARE = ("home", "search", "concept", "neurons", "atlas", "compare", "bundles", "image",
        "adversarial", "evidence", "about", "neuron")  # fmt: skip


@pytest.mark.parametrize("page", BARE)
def test_every_page_has_one_button_to_save_what_it_shows(
    page: str, drafts: list[save_finding.Draft]
) -> None:
    app = run_page(page)
    assert [button.label for button in app.button].count("Save as finding") == 1
    click(app, "Save as finding")
    (draft,) = drafts
    assert draft.neurons or draft.image is not None or draft.picture or draft.settings["from"]


def view_form() -> None:
    """The form of a page that shows no neurons."""
    from pathlib import Path

    import streamlit as st

    from explorer.ui.data import loaders
    from explorer.ui.widgets import save_finding

    view = loaders.open_view("tiny", Path(st.session_state["bundle"]))
    settings = {"claim": "ablation", "from": "evidence"}
    draft = save_finding.Draft(settings=settings, title="It holds", identifier="7" * 16)
    save_finding.form(view, draft)


def test_the_view_of_a_page_is_saved_shown_and_edited(
    store: Store, bundle: Bundle, went: list[str]
) -> None:
    app = AppTest.from_function(view_form, default_timeout=60)
    app.session_state["bundle"] = str(bundle.path)
    click(app.run(), "Save")
    click(app, "Save")  # pressed twice, stored once
    (saved,) = store.find(Wanted())
    assert saved.content == view(bundle=reference(bundle))
    html = html_of(run_page("finding", id=saved.id))
    address = "evidence?claim=ablation&amp;bundle=tiny"
    assert f'href="{address}" data-page="evidence">Open as it was found: Evidence' in html
    assert "The page Evidence" in html_of(run_page("findings"))
    edit = run_page("finding", id=saved.id, edit="1")
    edit.text_input(key=f"_edit_neurons_{saved.id}").set_value("1.5")
    click(edit, "Save")
    assert store.get(saved.id).content.neurons == (NeuronRef(1, 5),)
    assert address in html_of(run_page("finding", id=saved.id))
    back = run_page("finding", id=saved.id, edit="1")
    back.text_input(key=f"_edit_neurons_{saved.id}").set_value("")
    click(back, "Save")
    assert store.get(saved.id).content == saved.content


def test_a_finding_opens_as_it_was_found(ship: SavedFinding, store: Store, bundle: Bundle) -> None:
    one = store.add(replace(ship.content, neurons=(NeuronRef(1, 5),)))
    html = html_of(run_page("finding", id=one.id))
    assert "Open as it was found: Neuron<" in html
    assert "Open as it was found" not in html_of(run_page("finding", id=ship.id))  # of two neurons


def test_a_database_out_of_reach_keeps_no_neurons_page_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def slow(url: str) -> Store:
        asked.append(url)
        raise StoreError("It does not answer.")

    monkeypatch.setattr(findings_data, "_store", slow)
    for neuron in ("1", "2", "3"):
        run_page("neuron", layer="1", neuron=neuron)
    assert len(asked) == 1
    monkeypatch.setattr(findings_data, "QUIET", 0.0)
    findings_data._silent.clear()
    run_page("neuron", layer="1", neuron="1")
    run_page("neuron", layer="1", neuron="2")
    assert len(asked) == 3


@pytest.mark.parametrize(("page", "params"), PLACES, ids=str)
def test_every_list_of_neurons_is_saved_with_the_view_it_was_seen_in(
    page: str,
    params: dict[str, str],
    drafts: list[save_finding.Draft],
    store: Store,
    bundle: Bundle,
) -> None:
    click(run_page(page, **params), "Save as finding")
    (draft,) = drafts
    assert draft.neurons
    assert draft.settings == params | {"from": page}
    saved = store.add(
        Finding(reference(bundle), draft.title or "A title", draft.neurons, settings=draft.settings)
    )
    html = html_of(run_page("finding", id=saved.id))
    link = re.search(r'href="([^"]*)" data-page="(\w+)">Open as it was found', html)
    assert link is not None
    assert link[2] == page
    assert dict(parse_qsl(urlsplit(unescape(link[1])).query)) == params | {"bundle": "tiny"}
    layer, neuron = draft.neurons[0].layer, draft.neurons[0].neuron
    own = escape(href("neuron", bundle="tiny", layer=layer, neuron=neuron))
    assert f'href="{own}"' in html  # without the other page's parameters


def test_the_overviews_neurons_are_saved_where_some_pass(
    drafts: list[save_finding.Draft], told_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(told_bundle.parent))
    click(run_page("home"), "Save as finding")
    (draft,) = drafts
    assert draft.neurons
    assert draft.settings == {"from": "home"}


@pytest.mark.parametrize("origin", ["nowhere", ["search"], 3, "https://example.org/"])
def test_a_finding_leads_only_to_pages_there_are(origin: Any, store: Store, bundle: Bundle) -> None:
    saved = store.add(
        Finding(reference(bundle), "Odd", (NeuronRef(1, 5),), settings={"from": origin})
    )
    assert "Open as it was found" not in html_of(run_page("finding", id=saved.id))


def test_a_finding_about_a_picture_shows_its_maps(store: Store, bundle: Bundle) -> None:
    content = picture(bundle=reference(bundle), texts=("red", "circle"), settings={"opacity": 0})
    saved = store.add(content)
    html = html_of(run_page("finding", id=saved.id))
    assert "Where “red” comes from" in html and "Where “circle” comes from" in html
    bare = Image.open(io.BytesIO(share.snapshots([saved])[0].pictures[1].data))
    vivid = replace(content, settings={"opacity": 100})
    painted = share.snapshots([store.add(vivid)])[0].pictures[1]
    assert painted.caption.startswith("Where “red” comes from: full colour at +")
    shown = np.asarray(Image.open(io.BytesIO(painted.data)), np.float32)
    assert max(bare.size) == 336
    # without opacity nothing but the grey ground is left
    plain = np.asarray(bare, np.float32)
    assert np.ptp(plain, axis=2).mean() < np.ptp(shown, axis=2).mean()
    assert "data:image/png" in share.html_of(saved, "")


@pytest.mark.parametrize(("doubtful_below", "doubted"), [(0.0, False), (2.0, True)])
def test_a_findings_maps_say_their_scale_and_how_sure_they_are(
    store: Store,
    bundle: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    doubtful_below: float,
    doubted: bool,
) -> None:
    """A bug: a map of a text that is not there looked as sure as any other."""
    monkeypatch.setattr("explorer.picture.segment.DOUBTFUL", doubtful_below)
    heatmaps._drawn.clear()  # type: ignore[attr-defined]  # it keeps what other tests drew
    content = picture(bundle=reference(bundle), texts=("red", "circle"))
    saved = store.add(content)
    html = html_of(run_page("finding", id=saved.id))
    file = share.html_of(saved, "")
    heatmaps._drawn.clear()  # type: ignore[attr-defined]
    found = Study.of(bundle, whole_picture(bundle, 3)).segment(content.texts)
    for text, end, sure in zip(found.texts, found.ends(), found.confidence, strict=True):
        said = maps.ahead(sure)
        assert f"{said}</span>" in html
        assert f'<span class="num">{glossary.effect(end)}</span>' in html
        assert f"Where “{text}” comes from: full colour at {glossary.effect(end)}, {said}." in file
    assert ("Low confidence: “red”, “circle” are not" in html) is doubted
    assert ("Low confidence: “circle” is not" in file) is doubted


def test_maps_that_cannot_be_drawn_say_why(
    store: Store, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = store.add(picture(bundle=reference(bundle)))

    def refuse(*_: object) -> None:
        raise InputError("The model's weights are not here.")

    monkeypatch.setattr("explorer.ui.findings.heatmaps.draw", refuse)
    assert "The model&#39;s weights are not here." in html_of(run_page("finding", id=saved.id))
