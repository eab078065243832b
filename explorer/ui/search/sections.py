"""The Search page: one box, texts or a picture, neurons marked by how they were found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from explorer.bundle.facts import relative_effects
from explorer.errors import InputError
from explorer.search import Hit, TextSearch, products
from explorer.search.query import LONGEST, Term, format_query
from explorer.ui.address.address import LIST_LENGTH, TITLE_LENGTH, read_page, write_places
from explorer.ui.core import glossary
from explorer.ui.data import live
from explorer.ui.data.grouping import NEGATIVE, POSITIVE
from explorer.ui.data.labelled import labelled
from explorer.ui.data.loaders import View
from explorer.ui.data.selection import PER_PAGE
from explorer.ui.html import parts
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import picture_choice, save_finding
from explorer.ui.widgets.picture_choice import Chosen

TEXT, PICTURE = "text", "picture"
MODES = {TEXT: "Texts", PICTURE: "A picture"}
TOWARDS, AWAY, SETS, BOTH, LABELS = "towards", "away", "sets", "both", "labels"
SHOWN = {
    TOWARDS: "Towards it",
    AWAY: "Away from it",
    SETS: "In its set",
    LABELS: "In its pictures’ labels",
    BOTH: "Carries all",
}
BY = {"effect": "By effect", "relative": "By effect ÷ typical effect"}
TRUSTED, PLAIN = "trusted", "plain"
RANKS = {TRUSTED: "Shown in pictures first", PLAIN: "By score alone"}
LIMIT = 5 * PER_PAGE  # neurons listed at most
NEAR = 12  # texts
TRUST_SAID = (
    "The order weighs this by how well the neuron’s pictures show the text: the chance that one of "
    "its top pictures lies nearer to it than a random one. 50 % is guessing and counts for nothing."
)
EXAMPLES = 3  # of each kind
HEAVY = 24


@dataclass(frozen=True)
class SearchQuery:
    """What the page shows."""

    mode: str = TEXT
    text: str = ""
    image: int | None = None
    show: str = ""  # a key of SHOWN, or the usual one
    by: str = "effect"
    rank: str = TRUSTED
    page: int = 1

    def params(self) -> dict[str, str]:
        """The query as address parameters, defaults left out."""
        picture = self.mode == PICTURE
        values = {
            "q": "" if picture else self.text,
            "mode": PICTURE if picture and self.image is None else "",
            "image": str(self.image) if picture and self.image is not None else "",
            "show": self.show,
            "by": self.by if picture and self.by != "effect" else "",
            "rank": "" if picture or self.rank == TRUSTED else self.rank,
            "page": str(self.page) if self.page > 1 else "",
        }
        return {key: value for key, value in values.items() if value}


def read_query(page: Page) -> tuple[SearchQuery, list[str]]:
    """Read the address; what can't be read is left out and named."""
    params = page.params
    image, problems = picture_choice.read_image(page)
    text = " ".join(params.get("q", "").split())
    mode = params.get("mode", PICTURE if params.get("image") and not text else TEXT)
    if mode not in MODES:
        problems.append(f"“{mode}” is no way to search: write text or picture.")
        mode = TEXT
    if text and image is not None:
        problems.append("The address names texts and a picture: only one is searched for.")
    show, by = params.get("show", ""), params.get("by", "effect")
    if show and show not in SHOWN:
        problems.append(f"“{show}” is no kind of result. Possible: {', '.join(SHOWN)}.")
        show = ""
    if by not in BY:
        problems.append(f"“{by}” is no order. Possible: {', '.join(BY)}.")
        by = "effect"
    rank = params.get("rank", TRUSTED)
    if rank not in RANKS:
        problems.append(f"“{rank}” is no ranking. Possible: {', '.join(RANKS)}.")
        rank = TRUSTED
    number = read_page(params.get("page", ""), problems)
    return SearchQuery(mode, text, image, show, by, rank, number), problems


def toolbar(page: Page, query: SearchQuery) -> None:
    """The heading, and the choice between texts and a picture."""
    frame.title("Search")
    modes = parts.choices(
        "search", "What to search with", MODES, query.mode, "mode", bundle=page.view.key
    )
    frame.draw(f'<div class="neuron-head"><h1>Search</h1>{modes}</div>')


def results(page: Page, query: SearchQuery) -> None:
    """The box and what was found."""
    if query.mode == PICTURE:
        _picture(page, query)
    else:
        _text(page, query)


# --- texts ----------------------------------------------------------------------------------------


def _text(page: Page, query: SearchQuery) -> None:
    view = page.view
    st.session_state["_q"] = query.text
    st.text_input(
        "A text, or several with + and −",
        key="_q",
        placeholder="ship + car, dog - cat, “a phrase”",
        max_chars=LONGEST,
        on_change=_asked,
        args=(page,),
    )
    if not query.text:
        frame.draw(_start(view))
        live.prepare(view)
        return
    try:
        found = live.search(view, query.text)
    except InputError as error:
        frame.draw(parts.notice(str(error)), _start(view))
        return
    frame.draw(_near_texts(view, found))
    if query.rank == TRUSTED:
        found = replace(found, trust=found.told)
    kinds = _kinds(found)
    show = query.show if query.show in kinds else next(iter(kinds))
    here = {"bundle": view.key} | replace(query, page=1).params()
    nav = parts.choices("search", "Which neurons", kinds, show, "show", **here)
    if show != LABELS:
        nav += parts.choices("search", "Ranking", RANKS, query.rank, "rank", **here)
    hits = labelled(view, found.terms, LIMIT) if show == LABELS else _hits(found, show)
    order = f" {TRUST_SAID}" if query.rank == TRUSTED and show != LABELS else ""
    frame.draw(
        f'<div class="actions">{nav}</div>',
        f'<p class="caption">{_explained(show, found)}{order}</p>',
    )
    note = labels_note if show == LABELS else found_by
    _cards(page, query, hits, lambda hit: note(found, hit))


def _asked(page: Page) -> None:
    frame.address(page, q=" ".join(st.session_state["_q"].split()))


def _kinds(found: TextSearch) -> dict[str, str]:
    """Which results there are; the polysemy search, where it applies, comes first."""
    if int((found.signs > 0).sum()) < 2:
        return {key: name for key, name in SHOWN.items() if key != BOTH}
    return {BOTH: SHOWN[BOTH]} | SHOWN


def _hits(found: TextSearch, show: str) -> list[Hit]:
    if show == BOTH:
        return found.carriers(LIMIT)
    if show == SETS:
        own = found.sets(LIMIT)
        return own + found.near_sets(LIMIT - len(own))
    return found.towards(LIMIT) if show == TOWARDS else found.away(LIMIT)


def _explained(show: str, found: TextSearch) -> str:
    several = len(found.terms) > 1
    what = "the combined text" if several else "the text"
    return {
        TOWARDS: f"Neurons whose direction in the joint space is nearest to {what}, by cosine.",
        AWAY: f"Neurons whose direction points most strongly away from {what}, by cosine.",
        SETS: "Neurons whose sparse set of concepts holds "
        + ("texts of the query, by the signed sum of their weights" if several else "the text")
        + "; behind them those that hold a near text, by its weight times its cosine.",
        LABELS: "Neurons with the most top pictures whose label or keywords are "
        + ("every added text: by the least of the counts" if several else "the text")
        + ". No embedding has a say in it. The pictures are those of that end.",
        BOTH: "Neurons that stand for every added text at the same end of their direction: by the "
        "least of the texts' cosines"
        + (", less what they carry of the texts taken away" if found.signs.min() < 0 else "")
        + ". The pictures are those of that end.",
    }[show]


def found_by(found: TextSearch, hit: Hit) -> str:
    """How a neuron was found, with every score it has."""
    marks = []
    if hit.end:
        end = "positive" if hit.end > 0 else "negative"
        texts = ", ".join(f"{escape(t)} {glossary.signed(c)}" for t, c in hit.found)
        marks.append(f"<b>all</b> {glossary.number(hit.score)} at its {end} end: {texts}")
    marks.append(f"<b>direction</b> {glossary.signed(float(found.cosines[hit.row]))}")
    nearer = float(found.shown[hit.row])
    marks.append(f"<b>pictures</b> {glossary.share(1 - nearer if hit.end < 0 else nearer)}")
    weights = found.text_weights[hit.row]
    held = [
        f"{escape(term.text)} {glossary.signed(float(weight))}"
        for term, weight in zip(found.terms, weights, strict=True)
        if weight
    ]
    near = [] if hit.end or held else [f"{escape(t)} {glossary.signed(w)}" for t, w in hit.found]
    if held or near:
        marks.append(f"<b>set</b> {', '.join(held or near)}")
    return f'<div class="match">{" · ".join(marks)}</div>'


def labels_note(found: TextSearch, hit: Hit) -> str:
    """In how many of its top pictures each text is named."""
    pictures = int((found.bundle.top_images[hit.row, 0 if hit.end > 0 else 1] >= 0).sum())
    end = "" if hit.end > 0 else " of its negative end"
    said = ", ".join(f"{escape(text)} {count:.0f}" for text, count in hit.found)
    return f'<div class="match"><b>labels</b> {said} of {pictures}{end}</div>'


def _near_texts(view: View, found: TextSearch) -> str:
    own = "".join(
        parts.link(
            "concept",
            f"{'−' if term.sign < 0 else ''}<b>{escape(term.text)}</b>"
            + ("" if place >= 0 else ' <span class="muted">embedded live</span>'),
            css="chip",
            bundle=view.key,
            text=term.text,
        )
        for term, place in zip(found.terms, found.places, strict=True)
    )
    near = parts.text_chips(view, found.texts(NEAR))
    return (
        f'<div class="chips">{own}</div>'
        '<p class="caption">Near texts of the dictionary, with their cosine. Each opens its '
        f'concept page.</p><div class="chips">{near}</div>'
    )


def _start(view: View) -> str:
    """What to try, from the bundle's own texts."""
    chips = "".join(
        parts.link("search", escape(query), css="chip", bundle=view.key, q=query)
        for query in view.held("search examples", examples)
    )
    return (
        '<p class="caption">A word or a phrase finds the neurons that stand for it. “+” between '
        "texts finds neurons that carry all of them, “−” takes one away; a phrase in quotation "
        "marks is one text. A text that is not in the dictionary is embedded with the model.</p>"
        f"<h2>For example</h2><div class='chips'>{chips}</div>"
    )


def examples(view: View) -> list[str]:
    """Queries that this bundle answers well: heavy texts, texts one neuron carries, near texts."""
    heavy = view.held("heavy texts", heavy_texts)
    single = [[Term(text)] for text in heavy[:EXAMPLES]]
    plus = [[Term(a), Term(b)] for a, b in carried_together(view)]
    minus = [
        [Term(text), Term(_nearest_text(view, text), -1)] for text in heavy[EXAMPLES : 2 * EXAMPLES]
    ]
    return [format_query(terms) for terms in single + plus + minus]


def carried_together(view: View, most: int = EXAMPLES) -> list[tuple[str, str]]:
    """The two heaviest texts of neurons that carry two of different clusters most evenly."""
    bundle = view.bundle
    if bundle.concept_ids.shape[1] < 2:
        return []
    weights = np.asarray(bundle.concept_weights, np.float32)
    weights = np.where(_depicted(view)[np.asarray(bundle.concept_ids)], weights, 0)
    leading = np.argsort(-weights, axis=1, kind="stable")[:, :2]
    ids = np.take_along_axis(bundle.concept_ids, leading, axis=1)
    clusters = np.take_along_axis(bundle.concept_clusters, leading, axis=1)
    least = np.take_along_axis(weights, leading, axis=1)
    apart = (clusters[:, 0] != clusters[:, 1]) & (ids >= 0).all(axis=1) & ~view.silent
    scores = np.where(apart, least[:, 1], 0)
    pairs: list[tuple[str, str]] = []
    for row in np.argsort(-scores, kind="stable"):
        first, second = (bundle.texts[int(place)] for place in ids[row])
        if scores[row] <= 0 or len(pairs) == most:
            break
        if not any({first, second} & set(pair) for pair in pairs):
            pairs.append((first, second))
    return pairs


def _nearest_text(view: View, text: str) -> str:
    """The text of the dictionary nearest to another of its texts."""
    embeddings = view.bundle.text_embeddings
    depicted = _depicted(view)[:-1]
    place = view.bundle.dictionary.index_of(text)
    cosines = products(embeddings, np.asarray(embeddings[place], np.float32)[None])[:, 0]
    cosines[place] = -np.inf
    cosines[~depicted] -= 2  # after all that are
    return view.bundle.texts[int(cosines.argmax())]


def _depicted(view: View) -> NDArray[np.bool_]:
    """Whether each text names a picture, [text + 1]; the last one stands for id -1.

    All texts where none does.
    """
    named = (view.bundle.text_table["source"] == "label").to_numpy()
    return np.append(named if named.any() else np.ones_like(named), False)


def heavy_texts(view: View) -> list[str]:
    """The texts that carry most squared weight in this bundle's sets, heaviest first."""
    bundle = view.bundle
    ids, weights = np.asarray(bundle.concept_ids), np.asarray(bundle.concept_weights, np.float32)
    held = ids >= 0
    mass = np.bincount(ids[held], weights[held] ** 2, minlength=len(bundle.texts))
    mass[~_depicted(view)[:-1]] = 0
    heavy = np.argsort(-mass, kind="stable")[:HEAVY]
    return [bundle.texts[int(row)] for row in heavy if mass[row] > 0]


# --- a picture ------------------------------------------------------------------------------------


def _picture(page: Page, query: SearchQuery) -> None:
    view = page.view
    kept = {**replace(query, image=None, page=1).params(), "mode": PICTURE}
    chosen = picture_choice.picker(page, query.image, kept)
    if chosen is None:
        frame.draw(
            '<p class="caption">Choose a picture: every neuron is then ranked by its second-order '
            "effect on it.</p>"
        )
        return
    try:
        effects = chosen.effects(view)
    except InputError as error:
        frame.draw(parts.notice(str(error)))
        return
    relative = relative_effects(view.bundle, effects)
    show = AWAY if query.show == AWAY else TOWARDS
    frame.draw(_chosen(page, query, chosen, show))
    scores = effects if query.by == "effect" else np.where(view.silent, 0, relative)
    hits = ranked(scores, 1 if show == TOWARDS else -1)
    _cards(page, query, hits, lambda hit: _effect_note(effects, relative, hit.row))


def ranked(scores: NDArray[np.float32], sign: int, most: int = LIMIT) -> list[Hit]:
    """Neurons with the strongest scores of one sign, strongest first."""
    best = np.argsort(-sign * scores, kind="stable")[:most]
    return [Hit(int(row), float(scores[row])) for row in best if sign * scores[row] > 0]


def _chosen(page: Page, query: SearchQuery, chosen: Chosen, show: str) -> str:
    view = page.view
    here = {"bundle": view.key, **replace(query, page=1).params()}
    kinds = {TOWARDS: "Pushed along", AWAY: "Pushed against"}
    kept = (
        "The address holds this picture."
        if chosen.image >= 0
        else "Your picture stays in this session: the address cannot hold it."
    )
    return (
        f'<div class="chosen"><div class="frame">{chosen.shown(view)}</div><div>'
        f"<h2>{escape(chosen.name)}</h2>"
        '<p class="caption">Neurons by the second-order effect of this picture along their own '
        "direction, minus its mean over all pictures, in units of the output before "
        f"normalisation. {kept}</p><div class='actions'>"
        f"{parts.choices('search', 'Which neurons', kinds, show, 'show', **here)}"
        f"{parts.choices('search', 'Order', BY, query.by, 'by', **here)}</div></div></div>"
    )


def _effect_note(effects: NDArray[np.float32], relative: NDArray[np.float32], row: int) -> str:
    times = glossary.signed(float(relative[row]))
    return (
        f'<div class="match"><b>effect</b> {glossary.effect(float(effects[row]))} · '
        f"{times} × its typical effect</div>"
    )


# --- cards ----------------------------------------------------------------------------------------


def _cards(page: Page, query: SearchQuery, hits: list[Hit], note: Callable[[Hit], str]) -> None:
    """One page of neurons as cards, the way to the others, and to all of them as a list."""
    view = page.view
    if not hits:
        frame.draw("<h2>Nothing found</h2><p>No neuron fits this search.</p>", css="empty")
        return
    pages = -(-len(hits) // PER_PAGE)
    number = min(query.page, pages)
    if number != query.page:
        frame.show_problems([f"There are {pages} pages of results: the last is shown."])
    shown = hits[(number - 1) * PER_PAGE : number * PER_PAGE]
    frame.draw(
        parts.cards(
            parts.card(view, hit.row, note=note(hit), end=NEGATIVE if hit.end < 0 else POSITIVE)
            for hit in shown
        )
    )
    title = query.text or "Neurons of a picture"
    places = [view.place(hit.row) for hit in hits[:LIST_LENGTH]]
    as_list = parts.link(
        "neurons",
        f"These {len(places)} as a list",
        css="button",
        bundle=view.key,
        list=title[:TITLE_LENGTH],
        neurons=write_places(places),
    )
    params = {"bundle": view.key, **query.params()}
    save_finding.of_neurons(page, [hit.row for hit in shown], title)
    frame.draw(
        parts.pager("search", number, pages, **params), f'<div class="pager">{as_list}</div>'
    )
