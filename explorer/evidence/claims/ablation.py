"""Second-order effects matter, and in a few layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from explorer.evidence.claim import FAILS, HOLDS, PARTLY, Claim, Result, Verdict, in_points
from explorer.evidence.drawing import RECALL, Lines, Number, Plot, Scale, Series, Shown, Tone
from explorer.evidence.figures import is_positive, value_of

KINDS = (
    ("second_order", "second-order", Tone.SECOND),
    ("first_order", "direct", Tone.DIRECT),
    ("indirect", "indirect", Tone.INDIRECT),
)


def costliest(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the place of the layer whose second-order effects recall@1 needs most."""
    drops = [value_of(row["second_order"]["drop"]) for row in rows]
    return drops.index(max(drops))


def judge(result: Result) -> Verdict:
    """Judge the layer in which ablation costs most."""
    worst = result["layers"][costliest(result["layers"])]
    drop, beyond = worst["second_order"]["drop"], worst["second_beyond_first"]
    fell = f"in layer {worst['layer']} recall@1 falls by {in_points(drop)} points"
    if not is_positive(drop):
        return Verdict(FAILS, f"even {fell}, which cannot be distinguished from 0.")
    if not is_positive(beyond):
        return Verdict(PARTLY, f"{fell}, but ablating direct effects there costs as much or more.")
    return Verdict(HOLDS, f"{fell}, {in_points(beyond)} more than without its direct effects.")


def draw(result: Result) -> Shown:
    """Draw recall after ablating each layer, three ways."""
    rows = result["layers"]
    worst = costliest(rows)
    layer = rows[worst]["layer"]
    points = Scale("points of recall@1", 100, "", 1)
    return Shown(
        [
            Number.at("Nothing ablated", RECALL, result, "full", "recall@1"),
            *(
                Number.at(
                    f"Lost without {name} effects of layer {layer}",
                    points, result, "layers", worst, kind, "drop",
                )
                for kind, name, _ in KINDS[:2]
            ),
            Number.at(
                "Lost without second-order effects of all layers",
                points, result, "all_layers", "second_order", "drop",
            ),
        ],
        [
            Plot(
                "Share of pictures whose own name stays the nearest after one layer's effects are "
                "replaced by their means; bars: 95 % intervals, dotted: nothing replaced. "
                "Indirect: the layer's activations are replaced, and everything after it is "
                "computed anew.",
                Lines(
                    [
                        Series(name, tone, [row[kind]["recall@1"] for row in rows])
                        for kind, name, tone in KINDS
                    ],
                    [str(row["layer"]) for row in rows],
                    RECALL,
                    "layer",
                    result["full"]["recall@1"]["value"],
                ),
            )
        ],
    )  # fmt: skip


CLAIM = Claim(
    title="Second-order effects matter",
    sentence="What neurons send through later attention heads matters to what the model says, and "
    "most of it comes from a few layers; what they write straight to the output matters less "
    "there.",
    rule="Holds if, in the layer where it costs most, mean-ablating all second-order effects "
    "lowers recall@1 (95 % interval above 0) and lowers it further than mean-ablating the direct "
    "effects of that layer does (interval of the difference above 0). Partly if only the first.",
    judge=judge,
    draw=draw,
)
