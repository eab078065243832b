"""One direction carries a neuron's second-order effect."""

from __future__ import annotations

from explorer.evidence.claim import (
    BY_LEAD,
    ORACLE,
    Claim,
    Measure,
    Result,
    Verdict,
    by_lead,
    by_share,
    has_share,
    in_percent,
    lead_numbers,
    measurable,
)
from explorer.evidence.drawing import (
    RECALL,
    Dot,
    Dots,
    Lines,
    Number,
    Plot,
    Shown,
    Steps,
    Tone,
    percent,
)


def judge(result: Result) -> Verdict:
    """Judge what projections on one direction per neuron keep."""
    kept = result["all_layers"]["rank_1"]["kept"]
    if not has_share(result["drop"], kept):
        return by_lead(result["drop"], result.get("lead"), _judge_lead)
    return by_share(
        kept,
        "of the recall that second-order effects carry, one direction per neuron keeps {}.",
    )


def _judge_lead(lead: Result) -> Verdict:
    return by_share(
        lead["rank_1"],
        "of what the effects add to the right answer's lead, one direction per neuron keeps {}.",
    )


def explain(result: Result) -> list[str]:
    """Tell of more directions, and of unseen pictures."""
    every, explained = result["all_layers"], result["explained_variance"]
    more = [every[f"rank_{count}"]["kept"] for count in (2, 3)]
    said = []
    if has_share(result["drop"], every["rank_1"]["kept"]):
        said.append(
            f"Two directions per neuron keep {in_percent(more[0])}, three {in_percent(more[1])}: "
            "what one direction misses is not noise."
        )
    return [
        *said,
        f"Of the squared significant effects one direction explains "
        f"{in_percent(explained['build']['rank_1'])} on the build's pictures and "
        f"{in_percent(explained['evaluation'])} on unseen ones: it is not fitted to the former "
        "alone. We think that the many weaker effects follow it less.",
        ORACLE,
    ]


def draw(result: Result) -> Shown:
    """Draw recall with projected effects, and explained variances."""
    every, explained = result["all_layers"], result["explained_variance"]
    layers, whole = explained["layers"], result["full"]["recall@1"]
    mean = percent("mean over neurons")
    return Shown(
        measurable([
            Number.at(
                "Kept by one direction",
                percent("of what is lost without effects"),
                result, "all_layers", "rank_1", "kept",
            ),
            *lead_numbers(result, {"rank_1": "Of the lead, kept by one direction"}),
            Number.at(
                "Explained variance, build", mean, result, "explained_variance", "build", "rank_1"
            ),
            Number.at(
                "Explained variance, unseen pictures",
                mean, result, "explained_variance", "evaluation",
            ),
        ]),
        [
            Plot(
                "Recall@1 when every neuron's second-order effect, in all layers, is replaced by "
                "its projection on one, two or three directions of its own. Bars: 95 % intervals.",
                Dots(
                    [
                        Dot("whole effects", whole, Tone.INDIRECT),
                        Dot("on three directions", every["rank_3"]["recall@1"]),
                        Dot("on two directions", every["rank_2"]["recall@1"]),
                        Dot("on one direction", every["rank_1"]["recall@1"], Tone.SECOND),
                        Dot("ablated", every["ablated"]["recall@1"], Tone.ABLATED),
                    ],
                    RECALL,
                    whole["value"],
                ),
            ),
            Plot(
                "Neurons by the share of their squared significant effects that lies along their "
                "direction: on the build's pictures, and on unseen ones that had no part in "
                "choosing it.",
                Steps(
                    explained["bins"],
                    [
                        ("build's pictures", Tone.CONTROL, explained["build_counts"]),
                        ("unseen pictures", Tone.SECOND, explained["evaluation_counts"]),
                    ],
                    "explained variance",
                ),
            ),
            Plot(
                "The same by layer, mean over neurons with 95 % intervals.",
                Lines.by_layer(
                    layers,
                    {
                        "build": ("build's pictures", Tone.CONTROL),
                        "evaluation": ("unseen pictures", Tone.SECOND),
                    },
                    percent("explained variance"),
                ),
            ),
        ],
    )  # fmt: skip


CLAIM = Claim(
    title="One direction carries it",
    sentence="Where a neuron acts, its effect keeps to one direction of the joint space.",
    rule="Of the recall@1 lost when all second-order effects are mean-ablated: holds if their "
    "projections on one direction per neuron keep at least 90 % (the whole 95 % interval). Partly "
    "from 50 % on." + BY_LEAD,
    judge=judge,
    draw=draw,
    explain=explain,
    measure=Measure(
        "explained_variance", "Significant effects along one direction", percent("share")
    ),
)
