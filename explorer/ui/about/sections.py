"""The sections of the About page."""

from __future__ import annotations

import json
import re
from typing import Any

import streamlit as st
from markupsafe import Markup

from explorer.bundle import MODEL_FOLDER, verify
from explorer.bundle.manifest import Texts, all_stay
from explorer.findings import notes
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import NOTHING, command, figures, table, tag
from explorer.ui.shell import frame

CREDITS_SHOWN = 12
FRONT_MATTER = re.compile(r"\A---\n.*?^---$", re.DOTALL | re.MULTILINE)  # of a model card


def summary(view: View) -> None:
    """Draw what the explorer and this bundle are."""
    manifest = view.bundle.manifest
    model = manifest.model
    sizes = [int(entry["bytes"]) for entry in manifest.files.values()]
    paper = tag(
        "a",
        "Interpreting the Second-Order Effects of Neurons in CLIP",
        href="https://arxiv.org/abs/2406.04341",
    )
    frame.draw(
        tag("h1", "About & credits"),
        tag(
            "p",
            "This explorer computes what every neuron of a CLIP image encoder adds to the output "
            "through the attention heads after it, and describes the result with a sparse set of "
            "texts, as Gandelsman, Efros and Steinhardt do in ",
            paper,
            ". Everything shown is computed once and kept in a bundle.",
            css="lead",
        ),
        tag("h2", f"The bundle “{view.key}”"),
        figures(
            [
                ("Created", manifest.created[:10], f"schema {manifest.version}"),
                ("Neurons", f"{len(view.neurons):,}", f"layers {_span(view.layers)}"),
                ("Pictures", f"{view.bundle.image_embeddings.shape[0]:,}", "shown to every neuron"),
                ("Texts", f"{len(view.bundle.texts):,}", _dictionary_note(manifest.texts)),
                (
                    "Model",
                    f"{model.get('blocks', '?')} × {model.get('heads', '?')}",
                    f"layers × heads, width {model.get('width', '?')}, pictures of "
                    f"{model.get('image_size', '?')} px",
                ),
                ("Size", glossary.file_size(sum(sizes)), f"in {len(sizes)} files"),
            ]
        ),
    )


def _dictionary_note(texts: Texts) -> str:
    """Say how many more texts were left out of the dictionary, or why none was."""
    left_out, told = texts.get("left_out", 0), texts.get("told", texts["count"])
    if told < texts["count"]:
        return f"in the dictionary; {all_stay(told, texts['count'])}"
    if not left_out:
        return "in the dictionary"
    return f"in the dictionary; {left_out:,} more were left out, as the model can't tell them"


def _span(layers: list[int]) -> str:
    if len(layers) > 2 and layers == list(range(layers[0], layers[-1] + 1)):
        return f"{layers[0]}–{layers[-1]}"
    return ", ".join(map(str, layers))


@st.fragment
def verification(view: View) -> None:
    """Draw the quick check's result, and run the full one on demand."""
    frame.draw(
        tag("h2", "Is the bundle intact?"),
        tag(
            "p",
            "On opening, the manifest's own digest and every file's presence and size were "
            "checked: ",
            tag("b", "all in order"),
            ". The full check reads every file and compares its SHA-256.",
        ),
    )
    if not st.button("Check every file", key="verify"):
        return
    names = list(view.bundle.manifest.files)
    bar = st.progress(0.0, text="reading …")
    done = iter(range(len(names)))
    problems = verify(
        view.bundle.path,
        lambda name: bar.progress(next(done, 0) / max(len(names), 1), text=f"reading {name}"),
    )
    bar.empty()
    if problems:
        frame.show_problems(problems)
    else:
        frame.draw(tag("p", f"✓ All {len(names)} files are as they were built."))


def credits_table(view: View) -> None:
    """Draw the pictures' sources with author, licence and count."""
    listed = view.bundle.pictures.table
    columns = ["source", "author", "licence"]
    counts = listed[columns].fillna("").groupby(columns, sort=False).size()
    rows = sorted(((*key, int(n)) for key, n in counts.items()), key=lambda row: -row[3])
    shown = [(s or "–", a or "–", li or "–", f"{n:,}") for s, a, li, n in rows]
    names = ("Source", "Author", "Licence", "Pictures")
    sources = listed["source"].nunique()
    thanks = (
        "Thanks to all who made them and gave them away."
        if any(row[1] or row[2] for row in rows)
        else "They came without an author or a licence."
    )
    head, tail = shown[:CREDITS_SHOWN], shown[CREDITS_SHOWN:]
    further = f"{len(tail):,} more entries"
    frame.draw(
        tag("h2", "Credits of the pictures"),
        tag(
            "p",
            f"{len(listed):,} pictures from {sources:,} source{'s' * (sources != 1)}. {thanks}",
        ),
        table(names, head, right=(3,)),
        _details(further, table(names, tail, right=(3,))) if tail else NOTHING,
    )


def _details(name: str, inner: Markup) -> Markup:
    """Hide something behind its name until it is asked for."""
    return tag("details", tag("summary", name), inner)


def settings(view: View) -> None:
    """Draw how the bundle was built, as its manifest records it."""
    manifest = view.bundle.manifest
    groups: dict[str, Any] = {
        "model": manifest.model,
        "images": manifest.images,
        "texts": manifest.texts,
        "settings": {"centre": manifest.centre, **manifest.settings},
        "evidence": dict.fromkeys(manifest.evidence, "measured, see the Evidence page"),
    }
    rows = [
        (f"{group}.{key}", value if isinstance(value, str) else json.dumps(value))
        for group, values in groups.items()
        for key, value in values.items()
    ]
    files = [
        (name, glossary.file_size(int(entry["bytes"])), str(entry["sha256"])[:16] + "…")
        for name, entry in manifest.files.items()
    ]
    frame.draw(
        tag("h2", "Settings and files"),
        _details(f"Build settings ({len(rows)})", table(("Setting", "Value"), rows)),
        _details(f"Files ({len(files)})", table(("File", "Size", "SHA-256"), files, right=(1,))),
    )


def model_card(view: View) -> None:
    """Draw the model's own card, where the bundle ships one."""
    card = view.bundle.path / MODEL_FOLDER / "README.md"
    frame.draw(tag("h2", "Model card"))
    if not card.is_file():
        source = view.bundle.manifest.model.get("source", "unknown")
        said = f"This bundle ships no model of its own; it was built from {source}."
        frame.draw(tag("p", said))
        return
    with st.container(border=True, key="lens_card"):
        text = FRONT_MATTER.sub("", card.read_text("utf-8", errors="replace"))
        frame.draw(tag("div", notes.to_html(text), css="note"))


def build_another() -> None:
    """Draw the command that makes another bundle."""
    frame.draw(
        tag("h2", "Build another"),
        tag("p", "Any open_clip vision transformer, your own pictures and texts:"),
        command(frame.BUILD_COMMAND),
        tag("p", "Bundles in ", tag("code", "precomputed/"), " are found automatically."),
    )
