"""One button, for any page: save what is shown as a finding.

save_finding.button(page, neurons=[(9, 105)], settings={"pictures": "grouped"})
save_finding.button(page, image=12, texts=["dog"], settings={"layers": "7,8,9"})
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from PIL import Image

from explorer.errors import ExplorerError
from explorer.findings.changes import new_id
from explorer.findings.copy import LONGEST, copy_of
from explorer.findings.model import (
    AUTHOR_LENGTH,
    MOST_NEURONS,
    MOST_TEXTS,
    NOTE_LENGTH,
    ORIGIN,
    TITLE_LENGTH,
    Collection,
    Finding,
    NeuronRef,
    SavedFinding,
    clean_line,
    clean_tags,
)
from explorer.findings.queries import Wanted
from explorer.ui.address.findings_query import format_neurons, linkable, parse_neurons
from explorer.ui.core import glossary
from explorer.ui.data import findings_data
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import caption, joined, tag
from explorer.ui.html.links import link
from explorer.ui.shell import frame, gate
from explorer.ui.shell.frame import Page

COPIED = caption(
    f"The finding keeps a copy of this picture, at most {LONGEST} pixels long and without the "
    "file's metadata. Anyone who can open the finding or has its files can see it."
)
NO_COLLECTION = "none"
NEW_COLLECTION = "a new one"
NEW_TITLE = "Or the title of a new collection"
PICTURES = ("scene", "attack", "finding", "own", "texts")  # the Image page's own
OWN = ("bundle", "layer", "neuron", "image", "pins")  # parameters that are no view settings


@dataclass(frozen=True)
class Draft:
    """What the page hands over, before anyone has said anything about it."""

    neurons: tuple[NeuronRef, ...] = ()
    image: int | None = None
    picture: Image.Image | None = None
    texts: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    title: str = ""
    identifier: str = field(default_factory=new_id)  # saving it twice stores it once

    @property
    def about(self) -> bool:
        """Return whether the form asks for neurons."""
        return self.image is None and self.picture is None


def button(
    page: Page,
    *,
    neurons: Sequence[tuple[int, int]] = (),
    image: int | None = None,
    picture: Image.Image | None = None,
    texts: Sequence[str] = (),
    settings: dict[str, Any] | None = None,
    title: str = "",
    key: str = "save_finding",
) -> None:
    """Draw the button in the page's head; it opens a form over the page.

    Args:
        page: the page under way.
        neurons: layer and neuron of each, if the finding is about neurons.
        image: the picture's number in the bundle, if it is about a picture; with neither neurons
            nor a picture it is about the view that the settings lead to.
        picture: the picture itself, RGB, if it is none of the bundle's; the finding keeps a copy.
        texts: what the picture was asked about.
        settings: the page's address parameters that show the same again; JSON values.
        title: a first title.
        key: of the widget, where a page has several.
    """
    page.saves.append(key)
    refs = tuple(NeuronRef(layer, neuron) for layer, neuron in neurons)
    draft = Draft(refs, image, picture, tuple(texts), dict(settings or {}), title)
    if page.head.button("Save as finding", key=f"_{key}"):
        _dialog(page.view, draft)


def of_neuron(page: Page, row: int) -> None:
    """Draw a neuron's button, and links to the findings there are about it."""
    view = page.view
    place = view.place(row)
    settings = linkable({k: v for k, v in page.params.items() if k not in OWN})
    named = view.title(row)
    title = named.text if named.claims else glossary.neuron_name(*place)
    button(page, neurons=[place], settings=settings, title=title[:TITLE_LENGTH])
    found = _about(view, NeuronRef(*place))
    if found:
        links = (
            link("finding", saved.content.title, bundle=view.key, id=saved.id) for saved in found
        )
        frame.draw(caption("Findings: ", joined(links, " · ")))


def of_picture(page: Page, name: str, texts: Sequence[str], subject: int | Image.Image) -> None:
    """Draw the Image page's button, for a picture of the bundle by its number, or another."""
    settings = linkable({k: v for k, v in page.params.items() if k not in (*OWN, *PICTURES)})
    number, picture = (subject, None) if isinstance(subject, int) else (None, subject)
    button(
        page,
        image=number,
        picture=picture,
        texts=texts[:MOST_TEXTS],
        settings=settings,
        title=clean_line(f"{', '.join(texts[:3])} in {name}")[:TITLE_LENGTH].strip(),
    )


def of_neurons(page: Page, rows: Sequence[int], title: str = "") -> None:
    """Draw the button of a page that shows several neurons; the finding opens it again.

    Without neurons the finding is about the view itself.
    """
    places = [page.view.place(row) for row in rows[:MOST_NEURONS]]
    shown = {key: value for key, value in page.params.items() if key != "bundle"}
    settings = linkable(shown) | {ORIGIN: page.name}
    button(page, neurons=places, settings=settings, title=title[:TITLE_LENGTH])


def of_view(page: Page, title: str) -> None:
    """Draw the button of a page without neurons or picture to save, if it has none yet."""
    if not page.saves:
        of_neurons(page, [], title)


def _about(view: View, ref: NeuronRef) -> list[SavedFinding]:
    """Return the last findings about a neuron; none where the database cannot be read."""
    wanted = Wanted(digest=findings_data.reference(view).digest, neuron=ref)
    return findings_data.asked(lambda store: store.find(wanted, per_page=3), [])


@st.dialog("Save as finding", width="medium", dismissible=False)  # a click beside it loses nothing
def _dialog(view: View, draft: Draft) -> None:
    form(view, draft)


@dataclass(frozen=True)
class _Answers:
    """What someone wrote into the form, as it stands there."""

    title: str
    neurons: str
    note: str
    tags: str
    author: str
    group: str
    """Of a collection the id; or `NO_COLLECTION`, `NEW_COLLECTION`."""
    name: str
    """Of a new collection."""


def form(view: View, draft: Draft) -> None:
    """Draw title, note, tags, author and collection; what is saved opens on its own page."""
    groups, problem = _groups()
    with st.form("_save_form", border=False):
        answers = _fields(draft, groups)
        with st.container(horizontal=True):
            sent = st.form_submit_button("Save", type="primary")
            if st.form_submit_button("Cancel"):
                st.rerun()
    if not sent:
        frame.show_problems([problem] if problem else [])
        return
    try:
        identifier = _save(view, draft, answers)
    except ExplorerError as error:
        frame.show_problems([str(error)])
        return
    st.session_state["_author"] = answers.author
    frame.go("finding", bundle=view.key, id=identifier)
    st.rerun()


def asks_new(group: str, title: str) -> bool:
    """Return whether a new collection is wanted: a typed title counts before the list's choice."""
    return group == NEW_COLLECTION or bool(clean_line(title))


def _fields(draft: Draft, groups: dict[str, str]) -> _Answers:
    """Draw the form's fields; `groups` are the collections, id -> title."""
    title = st.text_input("Title", draft.title, max_chars=TITLE_LENGTH, key="_save_title")
    neurons = _neurons_input(draft) if draft.about else ""
    if draft.picture is not None:
        frame.draw(COPIED)
    note = st.text_area(
        "Note",
        max_chars=NOTE_LENGTH,
        placeholder="What does it mean, and why? You can use Markdown.",
        key="_save_note",
    )
    tags = st.text_input("Tags", placeholder="ships, vehicles", key="_save_tags")
    author = author_input("_save_author")
    group = st.selectbox(
        "Collection",
        [NO_COLLECTION, *groups, NEW_COLLECTION],
        format_func=lambda choice: groups.get(choice, choice),
        key="_save_group",
    )
    name = st.text_input(NEW_TITLE, max_chars=TITLE_LENGTH, key="_save_name")
    return _Answers(title, neurons, note, tags, author, group, name)


def _neurons_input(draft: Draft) -> str:
    view_alone = ORIGIN in draft.settings
    return st.text_input(
        "Neurons",
        format_neurons(draft.neurons),
        placeholder="none: the finding is about this view" if view_alone else None,
        help="layer.neuron, as in 9.105; several separated by commas",
        key="_save_neurons",
    )


def _save(view: View, draft: Draft, answers: _Answers) -> str:
    """Store the finding, in its collection if one is chosen, and return its id.

    Raises:
        ExplorerError: when something in it cannot be used, or the database cannot be written.
    """
    finding = Finding(
        bundle=findings_data.reference(view),
        title=clean_line(answers.title),
        neurons=checked_neurons(view, answers.neurons) if draft.about else (),
        image=draft.image,
        copy=copy_of(draft.picture) if draft.picture is not None else b"",
        texts=draft.texts,
        settings=draft.settings,
        note=answers.note,
        tags=clean_tags(answers.tags),
        author=answers.author,
    )
    into: str | Collection = "" if answers.group == NO_COLLECTION else answers.group
    if asks_new(answers.group, answers.name):
        into = Collection(clean_line(answers.name), author=answers.author)
    return findings_data.store().add(finding, draft.identifier, into).id


def _groups() -> tuple[dict[str, str], str]:
    """Return the collections' titles, or those known before and why they cannot be read."""
    state = st.session_state
    try:
        state["_save_groups"] = findings_data.store().titles()
    except ExplorerError as error:
        return state.get("_save_groups", {}), str(error)
    return state["_save_groups"], ""


def author_input(key: str, before: str = "") -> str:
    """Return the author: the signed-in user where there is one, else what the visitor writes."""
    known = gate.user()
    if known:
        frame.draw(tag("p", f"Saved as {known}.", css="muted"))
        return known
    written = st.text_input(
        "Your name",
        before or st.session_state.get("_author", ""),
        max_chars=AUTHOR_LENGTH,
        key=key,
    )
    return clean_line(written)


def checked_neurons(view: View, text: str) -> tuple[NeuronRef, ...]:
    """Read the neurons that are written, all of which the bundle must have.

    Raises:
        InputError: when one is no neuron of the bundle.
    """
    refs = parse_neurons(text)
    for ref in refs:
        view.bundle.row(ref.layer, ref.neuron)
    return refs
