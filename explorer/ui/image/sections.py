"""The Image page: one picture, the concepts its neurons add, and where texts come from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st
from markupsafe import Markup
from streamlit.delta_generator import DeltaGenerator

from explorer.errors import ExplorerError, InputError
from explorer.picture.methods import METHODS
from explorer.picture.settings import calibrated_threshold
from explorer.picture.study import Study
from explorer.picture.uploads import MAX_BYTES
from explorer.pixels import NAMED
from explorer.ui.core import glossary
from explorer.ui.data import own_pictures, studies
from explorer.ui.data.image_query import (
    FIT_NAMES,
    FORMS,
    LEAST_OPACITY,
    MOST_SHOWN,
    SCALES,
    TEXT_LENGTH,
    VIEWS,
    ImageQuery,
    settings_of,
    split_texts,
)
from explorer.ui.html import links, maps, shots
from explorer.ui.html.cards import cards
from explorer.ui.html.elements import NOTHING, caption, notice, tag
from explorer.ui.image import parts as image_parts
from explorer.ui.image import source as image_source
from explorer.ui.image import views as image_views
from explorer.ui.image.accuracy import accuracy
from explorer.ui.image.source import Source
from explorer.ui.shell import frame
from explorer.ui.shell.frame import Page
from explorer.ui.widgets import save_finding

MOST_LIKELY = 5  # texts
SUGGESTED = 3  # likely texts that are looked for first in an upload
TURN, CAMERA, MISSING = "_image_turn", "_image_camera", "_image_missing"
GONE = (
    "This address belongs to a picture that a visitor uploaded; it was kept in their session "
    "only. Upload it here to see the same view, or choose an example."
)
_SCRIPT = (Path(__file__).parent / "image.js").read_text("utf-8")


def remembered(query: ImageQuery) -> ImageQuery:
    """Return what is asked for: the visitor's own picture where the address names none."""
    own = own_pictures.kept("image") is not None and not query.addressed
    return replace(query, own=True) if own else query


def choose(page: Page, query: ImageQuery) -> Source | None:
    """Offer upload, camera and examples; return the picture under study, if there is one."""
    frame.draw(
        tag("h1", "An image under the lens"),
        tag(
            "p",
            "Which neurons does a picture drive, what do they add to the model's output, and where "
            "in the picture does a text come from?",
            css="lead",
        ),
    )
    left, right = st.columns([1, 1.4], gap="large")
    with left:
        _upload(page, query)
    own = own_pictures.kept("image")
    with right:
        _examples(page, query, own=query.own)
    try:
        if own is not None and query.own:
            return image_source.uploaded(own.data, own.name)
        if query.own:
            frame.draw(notice(GONE))
            return None
        return image_source.addressed(page.view, query)
    except ExplorerError as error:
        frame.show_problems([str(error)])
        return None


def _examples(page: Page, query: ImageQuery, own: bool) -> None:
    """Offer held-out pictures and scenes; `own`: a picture of the visitor's is open."""
    view = page.view
    pictures, scenes = image_source.example_pictures(view), image_source.example_scenes(view)
    if not pictures and not scenes:
        return
    chosen = ("scene", query.scene or 0)
    if query.image is not None:
        chosen = ("image", query.image)
    elif own or query.attack or query.finding:
        chosen = ("", 0)
    elif query.scene is None and pictures:
        chosen = ("image", pictures[0])
    about = (
        "Or choose an example: pictures held out of the build, and scenes made of cut-outs."
        if pictures
        else "Or choose an example. These scenes are made of pictures the model was not trained "
        "on, or of photographic cut-outs."
    )
    frame.draw(caption(about), image_parts.strip(view, pictures, scenes, chosen))


def _upload(page: Page, query: ImageQuery) -> None:
    turn = st.session_state.setdefault(TURN, 0)
    with st.sidebar:  # an element without size; here it takes no gap of the page
        st.components.v2.component("lens_image", js=_SCRIPT)(key="lens_image")
    st.file_uploader(
        "Upload or paste a picture",
        type=list(NAMED),
        key=f"_upload_{turn}",
        on_change=_sent,
        args=(page, query, f"_upload_{turn}"),
        help=f"At most {MAX_BYTES // 1_000_000} MB. It stays in this session, in memory, "
        "unless you save it in a finding.",
    )
    if st.session_state.get(CAMERA):
        st.camera_input(
            "Take a picture",
            key=f"_camera_{turn}",
            on_change=_sent,
            args=(page, query, f"_camera_{turn}"),
        )
    own = own_pictures.kept("image")
    with st.container(horizontal=True):
        st.toggle("Camera", key=CAMERA)
        if own is not None:
            st.button("Clear my picture", on_click=_clear, args=(page, query))
    st.session_state[MISSING] = query.own and own is None


def _sent(page: Page, query: ImageQuery, key: str) -> None:
    """Take a new upload in place of what the address named, or as what the address waits for."""
    own = own_pictures.sent("image", key)
    kept = own and st.session_state.get(MISSING)
    frame.address(page, **(query if kept else query.elsewhere(own=own)).params())


def _clear(page: Page, query: ImageQuery) -> None:
    st.session_state[TURN] += 1
    own_pictures.forget("image")
    studies.forget()
    frame.address(page, **query.elsewhere().params())


def study(page: Page, query: ImageQuery, source: Source) -> None:
    """Draw everything about one picture, which is read once for all sections."""
    frame.title(source.name)
    try:
        found = studies.study(page.view, source.picture)
    except InputError as error:
        frame.show_problems([str(error)])
        return
    texts = query.texts or source.suggested or found.likely(MOST_LIKELY)[:SUGGESTED]
    number = (query.image or 0) if source.kind == "image" else None
    save_finding.of_picture(page, source.name, texts, source.picture if number is None else number)
    _concepts(page, query, source, found, texts)
    _texts(page, query, source, found, texts)
    _neurons(page, query, found)


def _concepts(
    page: Page, query: ImageQuery, source: Source, study: Study, texts: tuple[str, ...]
) -> None:
    view = page.view
    found = study.discovery()
    left, right = st.columns([1, 1.2], gap="large")

    def mapped(text: str) -> Markup:
        """Link to a text's map, beside the others."""
        more = tuple(dict.fromkeys((*texts, text)))[-MOST_SHOWN:]
        params = replace(query, texts=more, view="maps").params()
        return links.link("image", "map", marks={"data_stay": True}, bundle=view.key, **params)

    with left:
        frame.draw(
            tag("h2", source.name),
            image_parts.patch_reader(view, source, study),
            image_parts.limits(view, study.lens_model.grid),
        )
    with right:
        frame.draw(
            image_parts.no_better(view),
            image_parts.likely(view, study.likely(MOST_LIKELY), mapped),
            image_parts.unfamiliar(view, source) if study.unfamiliar else NOTHING,
            tag("h2", "Concepts discovered"),
            caption(
                f"{found.significant:,} of {len(view.neurons):,} neurons are as strong on this "
                "picture as on the few from which their direction was computed. Of the texts that "
                "describe them, these receive most from all neurons together somewhere in the "
                "picture, and win it from the other texts: the mean of the strongest tenth of the "
                "patches, each times the share that the text wins of it, in units of the model's "
                "output before normalisation."
            ),
            image_parts.concept_list(view, found.concepts, mapped)
            if found.concepts
            else tag("p", "No neuron is driven strongly enough by this picture to name a concept."),
            image_parts.hit_rates(view),
        )


def _texts(
    page: Page, query: ImageQuery, source: Source, study: Study, texts: tuple[str, ...]
) -> None:
    method = METHODS[query.method]
    about = "" if query.view == "methods" else f"{method.about} Numbers: {method.unit}. "
    frame.draw(
        tag("h2", "Where texts come from"),
        caption(
            f"{about}The stronger the colour, the more speaks for the text there; patches that "
            "speak against it stay uncoloured. How far a text is ahead of the other texts of the "
            "dictionary is judged by its strongest patches and the model's whole output."
        ),
    )
    _toolbar(page, query, texts)
    if not texts:
        frame.draw(tag("p", "Type a text to look for."))
        return
    settings = settings_of(query)
    try:
        found = study.segment(texts, settings)
    except InputError as error:
        frame.show_problems([str(error)])
        return
    shown = found.texts
    if query.view == "methods":
        shown = (found.texts[image_views.compared(query, found.texts)],)
    frame.draw(maps.doubts([text for text in found.doubtful if text in shown]))
    image_views.draw(page, query, source, study, found)
    if query.view != "methods":
        frame.draw(accuracy(page.view, query))


def _toolbar(page: Page, query: ImageQuery, texts: tuple[str, ...]) -> None:
    state = st.session_state  # the address decides: widgets are set from it on every run
    state["_texts"] = ", ".join(texts)
    state["_view"] = query.view
    state["_method"] = query.method
    state["_scale"] = query.scale
    state["_fit"] = query.fit
    state["_form"] = query.form
    state["_opacity"] = query.opacity
    usual = round(100 * calibrated_threshold(page.view.bundle, query.method))
    state["_threshold"] = usual if query.threshold is None else query.threshold
    change: dict[str, Any] = {"on_change": _changed, "args": (page, query, texts, usual)}
    st.text_input(
        "Texts, separated by commas",
        key="_texts",
        placeholder="e.g. dog, car, banana",
        max_chars=8 * TEXT_LENGTH,
        **change,
    )
    st.segmented_control(
        "Show", list(VIEWS), format_func=VIEWS.__getitem__, key="_view",
        label_visibility="collapsed", **change,
    )  # fmt: skip
    with st.container(key="lens_tools"):
        columns = st.columns(4, gap="small")
    columns[0].selectbox(
        "Method", list(METHODS), format_func=lambda name: METHODS[name].title, key="_method",
        disabled=query.view == "methods", **change,
    )  # fmt: skip
    columns[1].selectbox(
        "Strength relative to", list(SCALES), format_func=SCALES.__getitem__, key="_scale",
        disabled=query.view != "maps", **change,
    )  # fmt: skip
    columns[2].selectbox(
        "Maps", list(FORMS), format_func=FORMS.__getitem__, key="_form", **change,
        help="Refined: values spread to near patches that look alike; their sum stays. Fine: the "
        "mean of four passes, the picture moved by half a patch.",
    )  # fmt: skip
    columns[3].selectbox(
        "Picture seen", list(FIT_NAMES), format_func=FIT_NAMES.__getitem__, key="_fit", **change,
        help="Whole: padded to a square. In tiles: finer maps for long pictures.",
    )  # fmt: skip
    compared = query.view in ("methods", "difference") and len(texts) > 1
    with st.container(key="lens_sliders"):
        left, *right = st.columns(2 if compared or query.view == "mask" else 1, gap="large")
    left.slider("Opacity, %", LEAST_OPACITY, 100, key="_opacity", **change)
    for place in right:
        if compared:
            _compared(place, query, texts, change)
        else:
            place.slider("Threshold, % of a text's peak", 0, 100, key="_threshold", **change)


def _compared(
    place: DeltaGenerator, query: ImageQuery, texts: tuple[str, ...], change: dict[str, Any]
) -> None:
    """Choose which texts methods are compared on, or are set against each other."""
    places, state = range(len(texts)), st.session_state
    state["_first"], state["_second"] = image_views.pair(query, texts)
    if query.view == "methods":
        place.selectbox("Text", places, format_func=texts.__getitem__, key="_first", **change)
    else:
        left, right = place.columns(2, gap="small")
        left.selectbox("Text", places, format_func=texts.__getitem__, key="_first", **change)
        right.selectbox("Against", places, format_func=texts.__getitem__, key="_second", **change)


def _changed(page: Page, before: ImageQuery, texts: tuple[str, ...], usual: int) -> None:
    """Write the widgets' values into the address; texts only where they were typed."""
    state = st.session_state
    typed = split_texts(state["_texts"])
    threshold = int(state.get("_threshold", usual))
    query = replace(
        before,
        texts=before.texts if typed == texts else typed,
        view=state["_view"] or before.view,
        method=state["_method"],
        scale=state["_scale"],
        fit=state["_fit"],
        form=state["_form"],
        opacity=int(state["_opacity"]),
        threshold=None if threshold == usual else threshold,
        first=int(state.get("_first", before.first)),
        second=int(state.get("_second", before.second)),
    )
    frame.address(page, **query.params())


def _neurons(page: Page, query: ImageQuery, study: Study) -> None:
    if query.neuron:
        _one_neuron(page, query, study, query.neuron)
    neurons = study.discovery().neurons
    maps = study.neuron_maps([neuron.row for neuron in neurons])
    effects = [neuron.effect for neuron in neurons]
    painted = image_parts.neuron_maps(study, maps, effects, image_parts.SMALL)
    frame.draw(
        tag("h2", "Neurons it drives most"),
        caption(
            "The largest effects on this picture, minus each neuron's mean over the bundle's "
            "pictures, with where in the picture each comes from. Effects beyond the neuron's "
            "largest on any of the bundle's pictures come last: there is nothing to compare them "
            "with."
        ),
        cards(
            (
                image_parts.neuron_card(page.view, neuron, shown)
                for neuron, shown in zip(neurons, painted, strict=True)
            ),
            small=True,
        ),
    )


def _one_neuron(page: Page, query: ImageQuery, study: Study, place: tuple[int, int]) -> None:
    """Draw the map of the neuron that the address names."""
    layer, neuron = place
    view = page.view
    patches = study.neuron_maps([view.bundle.row(layer, neuron)])
    total = float(patches.sum())
    (painted,) = image_parts.neuron_maps(
        study, patches, [total], shots.PREVIEW, query.opacity / 100
    )
    name = glossary.neuron_name(layer, neuron)
    away = "" if total >= 0 else "; it points away from its direction, and that is shown"
    frame.draw(
        tag("h2", f"{name} on this picture"),
        shots.grid(
            [
                shots.shot(
                    painted,
                    f"Where {name} comes from",
                    [
                        f"all patches together {glossary.effect(total)}{away} · ",
                        links.link(
                            "neuron", "its page", bundle=view.key, layer=layer, neuron=neuron
                        ),
                    ],
                )
            ]
        ),
    )
