"""The sections of the About page."""

from __future__ import annotations

import json
from html import escape
from typing import Any

import streamlit as st

from explorer.bundle import verify
from explorer.ui.core import glossary
from explorer.ui.data.loaders import View
from explorer.ui.html import parts
from explorer.ui.shell import frame


def summary(view: View) -> None:
    """What the explorer and this bundle are."""
    manifest = view.bundle.manifest
    model = manifest.model
    sizes = [int(facts["bytes"]) for facts in manifest.files.values()]
    frame.draw(
        "<h1>About & credits</h1>"
        '<p class="lead">This explorer computes what every neuron of a CLIP image encoder adds to '
        "the output through the attention heads after it, and describes the result with a sparse "
        "set of texts, as Gandelsman, Efros and Steinhardt do in "
        '<a href="https://arxiv.org/abs/2406.04341">Interpreting the Second-Order Effects of '
        "Neurons in CLIP</a>. Everything shown is computed once and kept in a bundle.</p>",
        f"<h2>The bundle “{escape(view.key)}”</h2>",
        parts.figures(
            [
                ("Created", manifest.created[:10], f"schema {manifest.schema}"),
                ("Neurons", f"{len(view.neurons):,}", f"layers {_span(view.layers)}"),
                ("Pictures", f"{view.bundle.image_embeddings.shape[0]:,}", "shown to every neuron"),
                ("Texts", f"{len(view.bundle.texts):,}", "in the dictionary"),
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


def _span(layers: list[int]) -> str:
    if len(layers) > 2 and layers == list(range(layers[0], layers[-1] + 1)):
        return f"{layers[0]}–{layers[-1]}"
    return ", ".join(map(str, layers))


@st.fragment
def verification(view: View) -> None:
    """The quick check's result, and the full one on demand."""
    frame.draw(
        "<h2>Is the bundle whole?</h2>"
        "<p>On opening, the manifest's own digest and every file's presence and size were checked: "
        "<b>all in order</b>. The full check reads every file and compares its SHA-256.</p>"
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
        frame.draw(f"<p>✓ All {len(names)} files are as they were built.</p>")


def credits_table(view: View) -> None:
    """The pictures' sources with author, licence and count."""
    table = view.bundle.pictures.table
    columns = ["source", "author", "licence"]
    counts = table[columns].fillna("").groupby(columns, sort=False).size()
    rows = sorted(((*key, int(n)) for key, n in counts.items()), key=lambda row: -row[3])
    shown = [(s or "–", a or "–", li or "–", f"{n:,}") for s, a, li, n in rows]
    frame.draw(
        f"<h2>Credits of the pictures</h2><p>{len(table):,} pictures from "
        f"{table['source'].nunique():,} sources. Thanks to all who drew them and gave them "
        "away.</p>"
    )
    head, tail = shown[:CREDITS_SHOWN], shown[CREDITS_SHOWN:]
    names = ("Source", "Author", "Licence", "Pictures")
    rest = (
        f"<details><summary>{len(tail):,} further entries</summary>"
        f"{parts.table(names, tail, right=(3,))}</details>"
        if tail
        else ""
    )
    frame.draw(parts.table(names, head, right=(3,)), rest)


CREDITS_SHOWN = 12


def settings(view: View) -> None:
    """How the bundle was built, as its manifest records it."""
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
        for group, facts in groups.items()
        for key, value in facts.items()
    ]
    files = [
        (name, glossary.file_size(int(facts["bytes"])), str(facts["sha256"])[:16] + "…")
        for name, facts in manifest.files.items()
    ]
    frame.draw(
        "<h2>Settings and files</h2>"
        f"<details><summary>Build settings ({len(rows)})</summary>"
        f"{parts.table(('Setting', 'Value'), rows)}</details>"
        f"<details><summary>Files ({len(files)})</summary>"
        f"{parts.table(('File', 'Size', 'SHA-256'), files, right=(1,))}</details>"
    )


def model_card(view: View) -> None:
    """The model's own card, where the bundle ships one."""
    card = view.bundle.path / "model" / "README.md"
    frame.draw("<h2>Model card</h2>")
    if not card.is_file():
        source = escape(str(view.bundle.manifest.model.get("source", "unknown")))
        frame.draw(f"<p>This bundle ships no model of its own; it was built from {source}.</p>")
        return
    with st.container(border=True, key="lens_card"):
        st.markdown(_plain_headings(card.read_text("utf-8", errors="replace")))


def _plain_headings(markdown: str) -> str:
    """The card's text without front matter, its headings below the page's own."""
    if markdown.startswith("---"):
        markdown = markdown.split("\n---", 1)[-1]
    lines = (f"##{line}" if line.startswith("#") else line for line in markdown.splitlines())
    return "\n".join(lines)


def build_another() -> None:
    """The command that makes another bundle."""
    frame.draw(
        "<h2>Build another</h2>"
        "<p>Any open_clip vision transformer, your own pictures and texts:</p>"
        f"<pre><code>{escape(frame.BUILD_COMMAND)}</code></pre>"
        "<p>Bundles in <code>precomputed/</code> are found by themselves.</p>"
    )
