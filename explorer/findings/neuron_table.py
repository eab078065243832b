"""The neurons of findings as a table for spreadsheets and scripts (CSV)."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence

from explorer.findings.snapshot import MEASURES, NeuronShot, Snapshot

FORMULA = ("=", "+", "-", "@", "|", "−")
COLUMNS = (
    *("finding", "title", "author", "tags", "bundle", "digest", "layer", "neuron"),
    *MEASURES,
    *("meaning", "rests on", "words above chance", "further texts"),
)


def neurons_csv(snapshots: Sequence[Snapshot]) -> str:
    """Return one line per finding and neuron, in their order; measures are empty where unknown."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for snapshot in snapshots:
        content, shots = snapshot.saved.content, {(s.layer, s.neuron): s for s in snapshot.neurons}
        for ref in content.neurons:
            shot = shots.get((ref.layer, ref.neuron))
            measures = [_number(shot, name) for name in MEASURES]
            texts = (content.title, content.author, ", ".join(content.tags), content.bundle.name)
            writer.writerow(
                [
                    snapshot.saved.id,
                    *map(plain, texts),
                    content.bundle.digest,
                    ref.layer,
                    ref.neuron,
                    *measures,
                    *map(plain, _said(shot)),
                ]
            )
    return buffer.getvalue()


def _number(shot: NeuronShot | None, name: str) -> str:
    return f"{shot.measures[name]:.5g}" if shot and name in shot.measures else ""


def _said(shot: NeuronShot | None) -> tuple[str, str, str, str]:
    """Return what a neuron may be called, what that rests on, and its texts."""
    if shot is None:
        return "", "", "", ""
    told, further = (", ".join(bar.text for bar in bars) for bars in (shot.bars, shot.further))
    if shot.title.basis == "untested":
        told, further = "", told
    return shot.title.text, shot.title.basis, told, further


def plain(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    shown = unicodedata.normalize("NFKC", text[:9].lstrip())[:1]  # a wide = counts as one, too
    return f"'{text}" if shown in FORMULA or text[:1] in {"\t", "\r", "\n"} else text
