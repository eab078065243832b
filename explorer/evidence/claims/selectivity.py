"""A neuron's effect is significant for few pictures, and accuracy lives there."""

from __future__ import annotations

from explorer.evidence.claim import (
    BY_LEAD,
    FAILS,
    HALF,
    HOLDS,
    MOST,
    ORACLE,
    PARTLY,
    Claim,
    Measure,
    Result,
    Verdict,
    by_lead,
    has_share,
    in_percent,
    lead_numbers,
    measurable,
)
from explorer.evidence.drawing import (
    RECALL,
    Band,
    Dot,
    Dots,
    Lines,
    Number,
    Plot,
    Series,
    Shown,
    Tone,
    percent,
)
from explorer.evidence.figures import is_above, reaches, stays_below


def judge(result: Result) -> Verdict:
    """Judge what significant effects keep alone, and what is lost without them."""
    every = result["all_layers"]
    kept, lost = every["kept_by_significant"], every["lost_without_significant"]
    if not has_share(result["drop"], kept):
        return by_lead(result["drop"], result.get("lead"), _judge_lead)
    said = (
        f"of the recall that second-order effects carry, significant ones alone keep "
        f"{in_percent(kept)}; without them {in_percent(lost)} is lost."
    )
    passed = reaches(kept, HALF) + reaches(lost, HALF)
    return Verdict((FAILS, PARTLY, HOLDS)[passed], said)


def _judge_lead(lead: Result) -> Verdict:
    kept, without = lead["only_significant"], lead["without_significant"]
    said = (
        f"of what all effects add to the right answer's lead, significant ones alone keep "
        f"{in_percent(kept)}; without them {in_percent(without)} stays."
    )
    passed = reaches(kept, HALF) + stays_below(without, 1 - HALF)
    return Verdict((FAILS, PARTLY, HOLDS)[passed], said)


def explain(result: Result) -> list[str]:
    """Say how spread effects are."""
    every = result["all_layers"]
    kept, random = every["kept_by_significant"], every["kept_by_random"]
    said = []
    if is_above(kept, random):
        said.append(
            "Strength does matter: the same number of effects drawn at random keep "
            f"{in_percent(random)}, the significant ones {in_percent(kept)}."
        )
    enough = next((row for row in result["lowered"] if reaches(row["kept"], MOST)), None)
    if enough:
        said.append(
            f"But many count: to keep {in_percent(enough['kept'])} it takes all effects above "
            f"{enough['threshold']} of a neuron's threshold, {in_percent(enough['effects'])} of "
            f"them. We think that the small effects of {result['above']['neurons']:,} neurons add "
            "up."
        )
    return [*said, ORACLE]


def draw(result: Result) -> Shown:
    """Draw where recall lives, and how many pictures reach each threshold."""
    every, above, lowered = result["all_layers"], result["above"], result["lowered"]
    whole = result["full"]["recall@1"]
    lost = percent("of what is lost without all")
    return Shown(
        measurable([
            Number.at(
                "Kept by significant effects", lost, result, "all_layers", "kept_by_significant"
            ),
            Number.at(
                "Lost without significant effects",
                lost, result, "all_layers", "lost_without_significant",
            ),
            Number.at(
                "Kept by the same number at random", lost, result, "all_layers", "kept_by_random"
            ),
            *lead_numbers(
                result,
                {
                    "only_significant": "Of the lead, kept by significant effects",
                    "only_random": "Of the lead, kept by the same number at random",
                },
            ),
            Number.at(
                "Pictures above a neuron's threshold",
                percent("mean over neurons"), result, "above", "at_the_threshold",
            ),
        ]),
        [
            Plot(
                "Recall@1 when some second-order effects of all layers are kept and the rest "
                "replaced by their means. An effect is significant if it is as strong as the "
                "build's strongest 2 % of the neuron. Bars: 95 % intervals.",
                Dots(
                    [
                        Dot("all effects kept", whole, Tone.INDIRECT),
                        Dot("only significant ones kept", every["only_significant"], Tone.SECOND),
                        Dot("same number at random kept", every["only_random"]),
                        Dot("significant ones ablated", every["without_significant"], Tone.DIRECT),
                        Dot("same number at random ablated", every["without_random"]),
                        Dot("all ablated", every["ablated"], Tone.ABLATED),
                    ],
                    RECALL,
                    whole["value"],
                ),
            ),
            Plot(
                "Share of the evaluation pictures on which a neuron's effect is stronger than a "
                "multiple of its threshold (1, dotted): median neuron and middle half of neurons. "
                "Both scales are logarithmic.",
                Band(
                    above["thresholds"],
                    above["median"],
                    above["lower_quartile"],
                    above["upper_quartile"],
                    "effect norm ÷ threshold",
                    percent("pictures above"),
                    1.0,
                ),
            ),
            Plot(
                "How many of the strongest effects recall needs: only effects above a part of "
                "each neuron's threshold (1, 0.7, 0.5, 0.3, 0.2) are kept. Dotted: all of them.",
                Lines(
                    [Series("strongest effects", Tone.SECOND, [r["recall@1"] for r in lowered])],
                    [in_percent(row["effects"]) for row in lowered],
                    RECALL,
                    "effects kept",
                    whole["value"],
                ),
            ),
        ],
    )  # fmt: skip


CLAIM = Claim(
    title="Few pictures carry a neuron's effect",
    sentence="A neuron acts on few pictures, and those few effects are the ones that count.",
    rule="Of the recall@1 lost when all second-order effects are mean-ablated: holds if the "
    "significant effects alone keep at least half, and without them at least half is lost (each by "
    "its whole 95 % interval). Partly if one of the two." + BY_LEAD,
    judge=judge,
    draw=draw,
    explain=explain,
    measure=Measure(
        "selectivity",
        "Squared effect on the strongest 2 %",
        percent("share"),
    ),
)
