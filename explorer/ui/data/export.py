"""Neurons to take away: a selection as a table, named and ordered as pages show it; one as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.bundle.facts import neuron_facts
from explorer.bundle.measures import measures_of
from explorer.bundle.pairs import pair_facts
from explorer.findings.neuron_table import plain
from explorer.ui.address.address import NeuronsQuery
from explorer.ui.data import grouping
from explorer.ui.data.intervals import intervals
from explorer.ui.data.loaders import View
from explorer.ui.data.neuron import head_shares
from explorer.ui.data.selection import match_strength, matching_texts, select

LABELS = "; "  # between the labels of a neuron's pictures


def selected(view: View, query: NeuronsQuery) -> pd.DataFrame:
    """Tabulate every neuron of a query's selection, in its order, whatever page is shown.

    Columns: Layer, Neuron, every measure under its name on the page (unrounded), Meaning (what it
    may be called), Rests on (words, pictures, nothing or untested), Heaviest texts of its set,
    Strongest pictures (labels of those on its card), Shared by its pictures (words with the number
    of top pictures that carry each) and, for a word, Matching concept and Weight.
    """
    rows = select(view, query).rows
    table = described(view, rows)
    if query.word:
        _, places = match_strength(view, matching_texts(view.folded_texts, query.word))
        ids = np.asarray(view.bundle.concept_ids)[rows, places[rows]]
        table["Matching concept"] = [view.bundle.texts[int(i)] for i in ids]
        table["Weight"] = np.asarray(view.bundle.concept_weights)[rows, places[rows]].astype("f4")
    return table


def described(view: View, rows: Sequence[int] | NDArray[np.int64]) -> pd.DataFrame:
    """Tabulate neurons in the order of their rows; columns as `selected` says."""
    table = view.neurons.iloc[rows]
    columns: dict[str, object] = {
        "Layer": table["layer"].to_numpy(),
        "Neuron": table["neuron"].to_numpy(),
    }
    for measure in measures_of("export"):
        if measure.key in table:
            columns[measure.name] = table[measure.key].to_numpy()
    titles = [view.title(int(row)) for row in rows]
    columns["Meaning"] = [title.text for title in titles]
    columns["Rests on"] = [title.basis for title in titles]
    columns["Heaviest texts"] = table["concepts"].astype(str).to_numpy()
    columns["Strongest pictures"] = [
        LABELS.join(view.labels[image] for image in grouping.strongest(view, int(row)))
        for row in rows
    ]
    columns["Shared by its pictures"] = [
        LABELS.join(f"{word} {count}" for word, count in grouping.shared_words(view, int(row)))
        for row in rows
    ]
    return pd.DataFrame(columns)


def csv_bytes(view: View, query: NeuronsQuery) -> bytes:
    """Write the selection as CSV in UTF-8 with a mark that spreadsheets know it by."""
    return _csv(selected(view, query))


def csv_of(view: View, rows: Sequence[int]) -> bytes:
    """Write some neurons as CSV, like `csv_bytes`."""
    return _csv(described(view, rows))


def _csv(table: pd.DataFrame) -> bytes:
    texts = {name: table[name].map(plain) for name in table if table[name].dtype.kind in "OTU"}
    text: str = table.assign(**texts).to_csv(index=False)
    return text.encode("utf-8-sig")


def parquet_bytes(view: View, query: NeuronsQuery) -> bytes:
    """Write the selection as a Parquet file."""
    buffer = io.BytesIO()
    selected(view, query).to_parquet(buffer, index=False)
    return buffer.getvalue()


def neuron_json(view: View, row: int) -> str:
    """Write a neuron's page as JSON.

    `neuron_facts` with all texts, and what the pictures share, the heads that carry the effect, the
    random sample by interval of effect (in typical effects); its pairs, where the bundle has them.
    """
    layer, neuron = view.place(row)
    whole = view.bundle.concept_ids.shape[1]
    blocks, shares = head_shares(view, row)
    held = int((np.asarray(view.bundle.concept_ids[row]) >= 0).sum())
    cosines = np.asarray(view.bundle.concept_cosines[row, :held], np.float64)
    facts = neuron_facts(view.bundle, layer, neuron, whole) | {
        "reconstruction_cosines": cosines.round(4).tolist(),
        "shared_words": dict(grouping.shared_words(view, row)),
        "heads": [
            {"block": block, "head": head, "share": round(float(share), 4)}
            for block, line in zip(blocks, shares, strict=True)
            for head, share in enumerate(line)
        ],
        "intervals": [
            {"effect": interval.name, "share": round(interval.share, 4)}
            for interval in intervals(view, row)
        ],
    }
    pairs = pair_facts(view.bundle, layer, neuron) if view.bundle.paired else {}
    return json.dumps(facts | pairs, ensure_ascii=False, indent=1)
