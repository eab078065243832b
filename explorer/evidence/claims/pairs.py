"""A few pairs of neuron and head carry what second-order effects do."""

from __future__ import annotations

from explorer.evidence.claim import (
    BY_LEAD,
    FAILS,
    HALF,
    HOLDS,
    LEAD,
    MOST,
    ORACLE,
    PARTLY,
    Claim,
    Result,
    Verdict,
    by_lead,
    has_share,
    in_percent,
)
from explorer.evidence.drawing import (
    RECALL,
    Dot,
    Dots,
    Lines,
    Number,
    Plot,
    Scale,
    Series,
    Shown,
    Tone,
    percent,
)
from explorer.evidence.figures import Figure, is_above, is_positive, reaches, value_of

SHARE = 0.1
"""Of all pairs, that the verdict looks at."""
WAYS = (
    ("strongest", "the strongest pairs", Tone.SECOND),
    ("whole_neurons", "as many in whole neurons", Tone.DIRECT),
    ("random", "as many at random", Tone.CONTROL),
)


def judge(result: Result) -> Verdict:
    """Judge what the strongest tenth of the pairs keeps, against as many in whole neurons."""
    row = result["kept"][_place(result)]
    own, whole = row["strongest"]["kept"], row["whole_neurons"]["kept"]
    if not has_share(result["drop"], own):
        lead = {
            "carried": result["carried"],
            "own": row["strongest"]["lead"],
            "whole": row["whole_neurons"]["lead"],
        }
        return by_lead(result["drop"], lead, _judge_lead)
    return _judged(own, whole, is_positive(row["beyond_whole_neurons"]), "the recall that "
                   "second-order effects carry")  # fmt: skip


def _judge_lead(lead: Result) -> Verdict:
    own, whole = lead["own"], lead["whole"]
    return _judged(
        own, whole, is_above(own, whole), "what the effects add to the right answer's lead"
    )


def _judged(own: Figure, whole: Figure, beyond: bool, of: str) -> Verdict:
    outcome = FAILS
    if reaches(own, HALF) and beyond:
        outcome = HOLDS if reaches(own, MOST) else PARTLY
    return Verdict(
        outcome,
        f"of {of}, the strongest tenth of the pairs keeps {in_percent(own)}, as many pairs in "
        f"whole neurons keep {in_percent(whole)}.",
    )


def _place(result: Result) -> int:
    """Return the place of the row whose share of the pairs is nearest to `SHARE`."""
    shares = [row["share"] for row in result["kept"]]
    return min(range(len(shares)), key=lambda place: abs(shares[place] - SHARE))


def explain(result: Result) -> list[str]:
    """Tell of the strongest per cent, and of what a neuron's own pairs hold."""
    first, held = result["kept"][0], result["held"]
    pairs = held["first_pairs"]
    said = [
        f"The strongest {_written(first['share'])} of the pairs keeps "
        f"{in_percent(first['strongest']['lead'])} of what all add to the right answer's lead, as "
        f"many at random {in_percent(first['random']['lead'])}.",
        f"On unseen pictures a neuron's strongest pair explains {in_percent(pairs[0])} of its "
        f"squared effect, {len(pairs)} pairs {in_percent(pairs[-1])}, and one direction of its own "
        f"{in_percent(held['one_direction'])}.",
    ]
    if value_of(pairs[0]) < value_of(held["one_direction"]):
        said.append(
            "A ResNet's attention pooling is one layer of heads; here a neuron is read by the "
            "heads of all later blocks, and its effect spreads over them."
        )
    return [*said, ORACLE]


def draw(result: Result) -> Shown:
    """Draw recall by the share of pairs kept, and what a neuron's first pairs hold."""
    rows, place, held = result["kept"], _place(result), result["held"]
    holding = result["holding"]
    counts = Scale("pairs", 1, "", 2)
    effect = percent("of a neuron's squared effect")
    pairs = [
        Dot(f"its first {count} pairs" if count > 1 else "its first pair", value, Tone.SECOND)
        for count, value in enumerate(held["first_pairs"], start=1)
    ]
    return Shown(
        [
            Number.at("Neurons of which six pairs hold 90 %", percent("of neurons"),
                      result, "holding", "reached"),
            Number.at("Pairs that it takes where they do", counts,
                      result, "holding", "pairs_where_reached"),
            *(
                Number.at(f"Kept by a tenth of the pairs: {name}", LEAD,
                          result, "kept", place, way, "lead")
                for way, name, _ in WAYS
            ),
            Number.at("One direction a neuron explains", effect, result, "held", "one_direction"),
            Number.at("Its first pair explains", effect, result, "held", "first_pairs", 0),
            Number.at("Pairs with words above chance", percent("of pairs that matter"),
                      result, "with_words_above_chance"),
        ],
        [
            Plot(
                "Recall@1 when all pairs but a share are replaced by their means, in all layers. "
                "Bars: 95 % intervals; dotted: nothing replaced.",
                Lines(
                    [
                        Series(name, tone, [row[way]["recall@1"] for row in rows])
                        for way, name, tone in WAYS
                    ],
                    [_written(row["share"]) for row in rows],
                    RECALL,
                    "pairs kept",
                    result["full"]["recall@1"]["value"],
                ),
            ),
            Plot(
                "The same for what the effects add to the right answer's lead over the mean "
                "candidate.",
                Lines(
                    [
                        Series(name, tone, [row[way]["lead"] for row in rows])
                        for way, name, tone in WAYS
                    ],
                    [_written(row["share"]) for row in rows],
                    LEAD,
                    "pairs kept",
                ),
            ),
            Plot(
                "Share of a neuron's squared effect on unseen pictures that its first pairs "
                "explain, each with its one direction, and that one direction of the neuron's own "
                "does; mean over neurons, each of the same weight.",
                Dots(
                    [*pairs, Dot("one direction of its own", held["one_direction"], Tone.DIRECT)],
                    effect,
                ),
            ),
            Plot(
                "Neurons by layer of which six pairs hold 90 % of the squared effect over the "
                "build's pictures.",
                Lines.by_layer(
                    holding["layers"],
                    {"reached": ("neurons", Tone.SECOND)},
                    percent("of neurons"),
                ),
            ),
        ],
    )  # fmt: skip


def _written(share: float) -> str:
    return f"{100 * share:g} %"


CLAIM = Claim(
    title="Few neuron–head pairs matter",
    sentence="Of the pairs of a neuron and a later head, each with one direction, a few carry what "
    "second-order effects do, and they do so better than as many pairs of whole neurons.",
    rule="Of the recall@1 lost when all second-order effects are mean-ablated: holds if the "
    "strongest tenth of all pairs keeps at least 90 % (the whole 95 % interval) and more than as "
    "many pairs in whole neurons (interval of the difference above 0). Partly from 50 % on, if it "
    "is more than those." + BY_LEAD,
    judge=judge,
    draw=draw,
    explain=explain,
)
