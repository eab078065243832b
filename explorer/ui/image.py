"""The Image page: one picture, the concepts its neurons add, and where texts come from."""

from __future__ import annotations

import json
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

from explorer import exports, painting
from explorer.discover import Discovery, neuron_maps
from explorer.errors import ExplorerError, InputError
from explorer.framing import Framing
from explorer.segment import Segmentation, SegmentSettings, calibrated_threshold, difference, scaled
from explorer.ui import frame, glossary, image_parts, image_source, parts, save_finding
from explorer.ui.frame import Page
from explorer.ui.image_query import (
    FIT_NAMES,
    FORMS,
    LEAST_OPACITY,
    METHOD_NAMES,
    SCALES,
    TEXT_LENGTH,
    VIEWS,
    ImageQuery,
    settings_of,
    split_texts,
)
from explorer.ui.image_source import Source
from explorer.uploads import MAX_BYTES, SUFFIXES

SUGGESTED = 3  # concepts taken as first texts for an upload
TURN, CAMERA = "_image_turn", "_image_camera"
_SCRIPT = (Path(__file__).parent / "image.js").read_text("utf-8")


def choose(page: Page, query: ImageQuery) -> Source | None:
    """Upload, camera and examples; the picture that is under study, if there is one."""
    frame.draw(
        "<h1>An image under the lens</h1>"
        '<p class="lead">Which neurons does a picture drive, what do they add to the model\'s '
        "output, and where in the picture does a text come from?</p>"
    )
    left, right = st.columns([1, 1.4], gap="large")
    with left:
        sent = _upload(page, query)
    with right:
        found = image_source.examples(page.view)
        shown = query.scene if query.addressed else (None if sent else 0)
        if found:
            frame.draw(
                '<p class="caption">Or take an example. These scenes are made of pictures the '
                "model was not trained on, or of photographic cut-outs.</p>",
                image_parts.strip(page.view, found, shown),
            )
    try:
        if sent is None or query.addressed:
            return image_source.addressed(page.view, query)
        return image_source.uploaded(*sent)
    except ExplorerError as error:
        frame.show_problems([str(error)])
        return None


def _upload(page: Page, query: ImageQuery) -> tuple[bytes, str] | None:
    turn = st.session_state.setdefault(TURN, 0)
    with st.sidebar:  # an element without size; here it takes no gap of the page
        st.components.v2.component("lens_image", js=_SCRIPT)(key="lens_image")
    sent = st.file_uploader(
        "Upload or paste a picture",
        type=list(SUFFIXES),
        key=f"_upload_{turn}",
        on_change=_sent,
        args=(page, query),
        help=f"At most {MAX_BYTES // 1_000_000} MB. It stays in this session, in memory, "
        "unless you save it in a finding.",
    )
    if st.session_state.get(CAMERA):
        taken = st.camera_input(
            "Take a picture", key=f"_camera_{turn}", on_change=_sent, args=(page, query)
        )
        sent = taken or sent
    with st.container(horizontal=True):
        st.toggle("Camera", key=CAMERA)
        if sent is not None:
            st.button("Clear my picture", on_click=_clear, args=(page, query))
    return None if sent is None else (sent.getvalue(), sent.name)


def _sent(page: Page, query: ImageQuery) -> None:
    """A new upload takes the place of what the address named."""
    frame.address(page, **query.elsewhere().params())


def _clear(page: Page, query: ImageQuery) -> None:
    st.session_state[TURN] += 1
    image_source.forget()
    frame.address(page, **query.elsewhere().params())


def study(page: Page, query: ImageQuery, source: Source) -> None:
    """Everything about one picture."""
    frame.title(source.name)
    try:
        found = image_source.find_concepts(page.view, source)
    except InputError as error:
        frame.show_problems([str(error)])
        return
    texts = query.texts or source.suggested or _first_concepts(found)
    number = (query.image or 0) if source.kind == "image" else None
    save_finding.of_picture(page, source.name, texts, source.picture if number is None else number)
    _concepts(page, source, found)
    _texts(page, query, source, texts)
    _neurons(page, query, source, found)


def _first_concepts(found: Discovery) -> tuple[str, ...]:
    return tuple(concept.text for concept in found.concepts[:SUGGESTED])


def _concepts(page: Page, source: Source, found: Discovery) -> None:
    view = page.view
    seen = image_source.read_picture(view, source, "pad")
    left, right = st.columns([1, 1.2], gap="large")
    patches = image_source.find_patches(view, source)
    with left:
        frame.draw(
            f"<h2>{escape(source.name)}</h2>",
            image_parts.patch_reader(view, source, seen.framing, patches),
            image_parts.limits(view, seen.reading.lens_model.grid),
        )
    with right:
        frame.draw(
            "<h2>Concepts discovered</h2>"
            f'<p class="caption">{found.significant:,} of {len(view.neurons):,} neurons are as '
            "strong on this picture as on the few from which their direction was computed. Of the "
            "texts that name them, these get most from the neurons together somewhere in the "
            "picture: the mean of the strongest tenth of the patches, in thousandths of the "
            "model's output before normalisation.</p>",
            image_parts.concept_list(view, found.concepts)
            if found.concepts
            else "<p>No neuron is driven strongly enough by this picture to name a concept.</p>",
        )


def _texts(page: Page, query: ImageQuery, source: Source, texts: tuple[str, ...]) -> None:
    frame.draw(
        "<h2>Where texts come from</h2>"
        '<p class="caption">Each patch\'s share of what the neurons add along a text. The stronger '
        "the colour, the more comes from there; what speaks against the text stays bare.</p>"
    )
    _toolbar(page, query, texts)
    if not texts:
        frame.draw("<p>Type a text to look for.</p>")
        return
    settings = settings_of(query)
    try:
        found = image_source.find_texts(page.view, source, texts, settings)
    except InputError as error:
        frame.show_problems([str(error)])
        return
    if found.doubtful and query.view != "methods":
        frame.draw(image_parts.doubts(found.doubtful))
    _VIEWS[query.view](page, query, source, found)
    _downloads(page, query, source, found, settings)


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
        "Texts, with commas between",
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
        "Method", list(METHOD_NAMES), format_func=METHOD_NAMES.__getitem__, key="_method",
        disabled=query.view == "methods", **change,
    )  # fmt: skip
    columns[1].selectbox(
        "Strength relative to", list(SCALES), format_func=SCALES.__getitem__, key="_scale", **change
    )
    columns[2].selectbox(
        "Maps", list(FORMS), format_func=FORMS.__getitem__, key="_form", **change,
        help="Refined: shares spread to near patches that look alike; their sum stays.",
    )  # fmt: skip
    columns[3].selectbox(
        "Picture seen", list(FIT_NAMES), format_func=FIT_NAMES.__getitem__, key="_fit", **change,
        help="Whole: padded to a square. In tiles: finer maps for long pictures.",
    )  # fmt: skip
    if query.view == "mask":
        with st.container(key="lens_sliders"):
            left, right = st.columns(2, gap="large")
        right.slider("Threshold, % of a text's peak", 0, 100, key="_threshold", **change)
    else:
        left = st.container(key="lens_sliders")
    left.slider("Opacity, %", LEAST_OPACITY, 100, step=5, key="_opacity", **change)


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
    )
    frame.address(page, **query.params())


def _heatmaps(page: Page, query: ImageQuery, source: Source, found: Segmentation) -> None:
    size = image_parts.preview_size(source.picture.size)
    strengths = found.strengths(size, query.scale).numpy()
    items = []
    for place, text in enumerate(found.texts):
        painted = painting.paint(
            source.picture, strengths[place], painting.colour_of(place), query.opacity / 100
        )
        peak = glossary.effect(float(found.grids[:, place].max()))
        caption = (
            f"{image_parts.swatch(place, text)} <span class='muted'>peak {peak}; "
            f"{image_parts.nearer(found.confidence[place])}</span>"
        )
        items.append(image_parts.shot(painted, f"Where “{text}” comes from", caption))
    frame.draw(image_parts.shots(items))


def _mask(page: Page, query: ImageQuery, source: Source, found: Segmentation) -> None:
    size = image_parts.preview_size(source.picture.size)
    labels = found.labels(size)
    painted = painting.paint_labels(source.picture, labels, query.opacity / 100)
    keys = "".join(
        f"{image_parts.swatch(place, text)} <span class='muted'>"
        f"{glossary.share(float((labels == place + 1).mean()))}</span> "
        for place, text in enumerate(found.texts)
    )
    frame.draw(
        image_parts.shots([image_parts.shot(painted, "The picture, segmented")]),
        f'<div class="legend">{keys}</div><p class="caption">Each pixel belongs to the text with '
        f"the largest map there, if that is above {glossary.share(found.threshold)} of the text's "
        "peak; the rest is background.</p>",
    )


def _methods(page: Page, query: ImageQuery, source: Source, found: Segmentation) -> None:
    text = found.texts[0]
    size = image_parts.preview_size(source.picture.size)
    items = []
    for method, name in METHOD_NAMES.items():
        settings = settings_of(replace(query, method=method))
        other = image_source.find_texts(page.view, source, (text,), settings)
        painted = painting.paint(
            source.picture,
            other.strengths(size)[0].numpy(),
            painting.colour_of(0),
            query.opacity / 100,
        )
        items.append(image_parts.shot(painted, f"{name}: “{text}”", escape(name)))
    frame.draw(
        f'<p class="caption">“{escape(text)}”, the first text, by every method on this model, each '
        "map over its own peak. Attention and rollout do not look at the text.</p>",
        image_parts.shots(items),
    )


def _difference(page: Page, query: ImageQuery, source: Source, found: Segmentation) -> None:
    if len(found.texts) < 2:
        frame.draw("<p>Give two texts, with a comma between, to see one against the other.</p>")
        return
    first, second = found.texts[:2]
    small = replace_size(found.framing, image_parts.preview_size(source.picture.size))
    values = difference(replace(found, framing=small), first, second).numpy()
    painted = painting.paint_difference(source.picture, values, query.opacity / 100)
    frame.draw(
        image_parts.shots([image_parts.shot(painted, f"“{first}” against “{second}”")]),
        f'<div class="legend">{image_parts.swatch(0, first)}{image_parts.swatch(1, second)}</div>'
        "<p class=\"caption\">The first text's map minus the second's, over the largest "
        "difference: the colour is that of the text to which more comes from there.</p>",
    )


def replace_size(framing: Framing, size: tuple[int, int]) -> Framing:
    """The same windows for the picture drawn at another size."""
    scale = size[0] / framing.width
    windows = tuple(
        replace(w, left=w.left * scale, top=w.top * scale, side=w.side * scale)
        for w in framing.windows
    )
    return Framing(size[0], size[1], windows)


_VIEWS = {"maps": _heatmaps, "mask": _mask, "methods": _methods, "difference": _difference}


def _downloads(
    page: Page, query: ImageQuery, source: Source, found: Segmentation, settings: SegmentSettings
) -> None:
    opacity = query.opacity / 100

    def overlay() -> bytes:
        return exports.overlay_file(source.picture, found, 0, query.scale, opacity)

    def described() -> str:
        facts = exports.description(page.view.bundle, found, settings, source.size)
        return json.dumps(facts, ensure_ascii=False, indent=1) + "\n"

    with st.container(key="lens_downloads", horizontal=True):
        st.download_button(
            "Overlay of the first text (PNG)", overlay, "overlay.png", "image/png",
            on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Mask (PNG)", lambda: exports.mask_file(found, source.size), "labels.png", "image/png",
            on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Arrays (.npz)", lambda: exports.arrays_file(found), "maps.npz",
            "application/octet-stream", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Settings (JSON)", described, "settings.json", "application/json", on_click="ignore"
        )


def _neurons(page: Page, query: ImageQuery, source: Source, found: Discovery) -> None:
    view = page.view
    seen = image_source.read_picture(view, source, "pad")
    if query.neuron:
        _one_neuron(page, query, source)
    rows = [neuron.row for neuron in found.neurons]
    maps = neuron_maps(view.bundle, seen.reading, rows)
    frame.draw(
        "<h2>Neurons it drives most</h2>"
        '<p class="caption">The largest effects on this picture, less each neuron\'s mean over the '
        "bundle's pictures, with where in the picture each comes from.</p>",
        parts.cards(
            (
                image_parts.neuron_card(view, neuron, maps[place], seen.framing, source.picture)
                for place, neuron in enumerate(found.neurons)
            ),
            small=True,
        ),
    )


def _one_neuron(page: Page, query: ImageQuery, source: Source) -> None:
    """The map of the neuron that the address names."""
    assert query.neuron is not None  # the caller asked
    layer, neuron = query.neuron
    view = page.view
    seen = image_source.read_picture(view, source, "pad")
    row = view.bundle.row(layer, neuron)
    patches = neuron_maps(view.bundle, seen.reading, [row])
    total = float(patches.sum())
    sign = 1 if total >= 0 else -1
    size = image_parts.preview_size(source.picture.size)
    drawn = scaled(seen.framing.to_picture(sign * patches[None], size))[0].numpy()
    painted = painting.paint(source.picture, drawn, painting.colour_of(0), query.opacity / 100)
    name = glossary.neuron_name(layer, neuron)
    away = "" if total >= 0 else "; it points away from its direction, and that is shown"
    frame.draw(
        f"<h2>{name} on this picture</h2>",
        image_parts.shots(
            [
                image_parts.shot(
                    painted,
                    f"Where {name} comes from",
                    f"all patches together {glossary.effect(total)}{away} · "
                    + parts.link("neuron", "its page", bundle=view.key, layer=layer, neuron=neuron),
                )
            ]
        ),
    )
