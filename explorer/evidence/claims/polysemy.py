"""Some neurons mean several things."""

from __future__ import annotations

from explorer.evidence.claim import (
    FAILS,
    HALF,
    HOLDS,
    PARTLY,
    Claim,
    Measure,
    Result,
    Verdict,
    in_percent,
    in_points,
    layers_said,
    number,
)
from explorer.evidence.drawing import (
    Dot,
    Dots,
    Lines,
    Number,
    Plot,
    Scale,
    Shown,
    Tone,
    percent,
)
from explorer.evidence.figures import is_positive, reaches, value_of


def judge(result: Result) -> Verdict:
    """Judge verified meanings against chance, and against neurons with one meaning."""
    part = result["polysemy"]
    said = (
        f"two unrelated meanings are verified in {in_points(part['two_meanings'])} % of neurons, "
        f"by chance in {in_points(part['permuted'])} %; of the neurons with a verified meaning "
        f"{in_percent(part['of_verified'])} have two."
    )
    if not is_positive(part["beyond_permuted"]):
        return Verdict(FAILS, said)
    return Verdict(HOLDS if reaches(part["of_verified"], HALF) else PARTLY, said)


def explain(result: Result) -> list[str]:
    """Say what can be confirmed at all."""
    part, score = result["polysemy"], result["monosemanticity"]["positive_side"]
    said = [
        "Few meanings can be confirmed at all: "
        f"{number(part['verified_clusters'])} per neuron on average. "
        f"The {result['pictures']:,} pictures have {result['candidates']:,} labels, and a meaning "
        f"needs two related ones among a neuron's {result['top']} strongest.",
        "Meanings are read off descriptions, whose correlation with effects is only "
        f"{number(result['descriptions']['description']['pearson'])} (see the claim before): "
        "what a neuron responds to, but does not write, is not counted.",
        *layers_said(part.get("layers", []), "two_meanings", in_percent),
    ]
    if is_positive(score["beyond_permuted"]):
        said.append(
            "Neurons are not without meaning: the pictures of their positive side are more alike "
            f"({number(score['score'])}) than pictures drawn at random "
            f"({number(score['permuted'])})."
        )
    return said


def draw(result: Result) -> Shown:
    """Draw label-verified meanings, and the monosemanticity score."""
    part, score = result["polysemy"], result["monosemanticity"]
    layers, neurons = score["layers"], percent("of neurons")
    return Shown(
        [
            Number.at("Two verified meanings", neurons, result, "polysemy", "two_meanings"),
            Number.at("By chance", neurons, result, "polysemy", "permuted"),
            Number.at(
                "Two meanings, if any",
                percent("of neurons with a verified meaning"), result, "polysemy", "of_verified",
            ),
            Number.at(
                "Monosemanticity score",
                Scale(f"mean; chance level {value_of(score['permuted']):.3f}"),
                result, "monosemanticity", "score",
            ),
        ],
        [
            Plot(
                "Share of neurons with two or more unrelated meanings, each confirmed by the "
                "labels of at least two of its strongest unseen pictures; and with the labels "
                "exchanged at random. Bars: 95 % intervals.",
                Dots(
                    [
                        Dot("as it is", part["two_meanings"], Tone.SECOND),
                        Dot("labels exchanged", part["permuted"]),
                    ],
                    percent("neurons with two meanings"),
                ),
            ),
            *_by_layer(part),
            Plot(
                "Monosemanticity score (arXiv 2504.02821) by layer: how alike a neuron's pictures "
                "are to the model itself, weighted by the neuron's effects (brought to 0 … 1), or "
                "by its positive effects alone; dotted: with pictures exchanged at random.",
                Lines.by_layer(
                    layers,
                    {
                        "score": ("all effects", Tone.SECOND),
                        "positive_side": ("positive effects", Tone.INDIRECT),
                    },
                    Scale("monosemanticity score"),
                    score["permuted"]["value"],
                ),
            ),
        ],
    )  # fmt: skip


def _by_layer(part: Result) -> list[Plot]:
    """Draw the share by layer; nothing where a bundle's evidence is from before it was kept."""
    rows = part.get("layers", [])
    if not rows:
        return []
    return [
        Plot(
            "The same by layer.",
            Lines.by_layer(
                rows,
                {
                    "two_meanings": ("as it is", Tone.SECOND),
                    "permuted": ("labels exchanged", Tone.CONTROL),
                },
                percent("neurons with two meanings"),
            ),
        )
    ]


CLAIM = Claim(
    title="One neuron, several meanings",
    sentence="Many neurons stand for several unrelated things.",
    rule="Holds if the share of neurons with two unrelated, label-verified meanings is above that "
    "with permuted labels (interval of the difference above 0), and of the neurons with any "
    "verified meaning at least half have two (the whole 95 % interval). Partly if only above.",
    judge=judge,
    draw=draw,
    explain=explain,
    measure=Measure("two_meanings", "Neurons with two meanings above chance", percent("share")),
)
