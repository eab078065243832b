"""How much of the output the second-order terms carry."""

from __future__ import annotations

from explorer.evidence.claim import FAILS, HOLDS, PARTLY, Claim, Result, Verdict, in_percent
from explorer.evidence.drawing import (
    Dot,
    Dots,
    Heads,
    Lines,
    Number,
    Plot,
    Series,
    Shown,
    Tone,
    percent,
)
from explorer.evidence.figures import is_positive, reaches

CARRIED = 0.25
ORDERS = {
    "second_order": ("second-order", Tone.SECOND),
    "first_order": ("direct", Tone.DIRECT),
    "rest": ("everything else", Tone.CONTROL),
}


def judge(result: Result) -> Verdict:
    """Judge the share of the right answer's lead."""
    second = result["orders"]["second_order"]["logit_share"]
    first = result["orders"]["first_order"]["logit_share"]
    said = (
        f"second-order effects carry {in_percent(second)} of the right answer's lead, direct "
        f"effects of the same neurons {in_percent(first)}."
    )
    if not is_positive(second):
        return Verdict(FAILS, said)
    return Verdict(HOLDS if reaches(second, CARRIED) else PARTLY, said)


def draw(result: Result) -> Shown:
    """Draw what second-order effects carry of the output."""
    orders, layers = result["orders"], result["layers"]
    lead = percent("of the right answer's lead")
    named = {key: ORDERS[key] for key in orders}
    return Shown(
        [
            Number.at(name.capitalize(), lead, result, "orders", key, "logit_share")
            for key, (name, _) in named.items()
        ],
        [
            Plot(
                "What each layer's effects add to the right answer's lead over the mean candidate, "
                "as a share of the whole lead. Bars: 95 % intervals.",
                Lines(
                    [
                        Series(*ORDERS[key], [row[key]["logit_share"] for row in layers])
                        for key in ("second_order", "first_order")
                    ],
                    [str(row["layer"]) for row in layers],
                    lead,
                    "layer",
                ),
            ),
            Plot(
                "Size of each part compared with the whole output about its mean (root mean "
                "square). Parts may cancel, so these do not add up to 100 %.",
                Dots(
                    [
                        Dot(name, orders[key]["norm_share"], tone)
                        for key, (name, tone) in named.items()
                    ],
                    percent("of the output's size"),
                ),
            ),
            Plot(
                "The lead that second-order effects of all layers add through each attention head.",
                Heads([(r["block"], r["head"], r["logit_share"]) for r in result["heads"]]),
            ),
        ],
    )


CLAIM = Claim(
    title="How much of the output this is",
    sentence="Second-order effects are a substantial part of the output.",
    rule="Holds if they carry at least a quarter of the right answer's lead over the other "
    "candidates (the whole 95 % interval). Partly if any (interval above 0).",
    judge=judge,
    draw=draw,
)
