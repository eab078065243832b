"""A description says what its neuron responds to."""

from __future__ import annotations

from explorer.evidence.claim import (
    FAILS,
    HOLDS,
    ORACLE,
    PARTLY,
    Claim,
    Measure,
    Result,
    Verdict,
    layers_said,
    number,
)
from explorer.evidence.drawing import (
    CORRELATION,
    Dot,
    Dots,
    Lines,
    Number,
    Plot,
    Scale,
    Shown,
    Steps,
    Tone,
)
from explorer.evidence.figures import is_positive, reaches, value_of

CORRELATED = 0.2
METRICS = {"pearson": "Pearson", "cosine": "cosine", "auprc": "AUPRC", "f1": "F1", "iou": "IoU"}
PREDICTORS = (
    ("description", "own description", Tone.SECOND),
    ("direction", "own direction", Tone.FURTHER),
    ("other_neuron", "another neuron's", Tone.CONTROL),
)
DESCRIBED = {key: (name, tone) for key, name, tone in PREDICTORS if key != "direction"}
"""Names and tones of the lines over layers."""


def judge(result: Result) -> Verdict:
    """Judge how well descriptions predict, and whether better than another neuron's."""
    part = result["descriptions"]
    found, beyond = part["description"]["pearson"], part["beyond_other_neuron"]["pearson"]
    said = (
        "labels and a neuron's own description correlate with its effects at "
        f"{number(found)} on average, {number(beyond)} more than with another neuron's description."
    )
    if not is_positive(beyond):
        return Verdict(FAILS, said)
    return Verdict(HOLDS if reaches(found, CORRELATED) else PARTLY, said)


def explain(result: Result) -> list[str]:
    """Say whether the measure is blind, and what labels can tell."""
    found, part = result["controls"], result["descriptions"]
    said = [
        "The measure is not blind: planted neurons, whose effect is what their direction says, "
        f"reach {number(found['planted'])} with the same descriptions, labels and pictures, and "
        f"{number(found['planted_other_neuron'])} with another neuron's description."
    ]
    said += layers_said(part["layers"], "description", number)
    own = part["description"]["pearson"]
    if is_positive(found["fitted"]) and value_of(found["fitted"]) > 2 * value_of(own):
        said += [
            "Neurons do follow labels: a linear map from labels, fitted on corpus pictures, "
            f"reaches a correlation of {number(found['fitted'])} on unseen ones; the labels of a "
            f"neuron's top pictures alone reach {number(found['top_labels'])}.",
            "But not along their directions: what a neuron responds to and where it moves the "
            f"output have a cosine of {number(found['alignment'])}. We think that only the sum of "
            f"{result['neurons']:,} small contributions has to point to what is seen, not each.",
        ]
    corpus = ""
    if found["corpus"]["value"] is not None:
        corpus = (
            ", on corpus pictures in place of unseen ones the description "
            f"{number(found['corpus'])}"
        )
    said.append(
        "It is not lost in the texts, the labels or the unseen pictures: the direction itself "
        f"predicts {number(part['direction']['pearson'])}, the picture's own output in place of "
        f"its label {number(found['output'])}{corpus}."
    )
    strong = found["strong"][-1]
    if strong["pearson"]["count"]:
        said.append(
            f"The exceptions are found: the {strong['pearson']['count']:,} neurons with an "
            f"agreement of at least {strong['agreement']} reach {number(strong['pearson'])}."
        )
    return [*said, ORACLE]


def draw(result: Result) -> Shown:
    """Draw how well labels and descriptions predict effects."""
    part, controls = result["descriptions"], result["controls"]
    layers = [a | b for a, b in zip(part["layers"], controls["layers"], strict=True)]
    return Shown(
        [
            Number.at(
                "Own description", CORRELATION, result, "descriptions", "description", "pearson"
            ),
            Number.at(
                "Another neuron's", CORRELATION, result, "descriptions", "other_neuron", "pearson"
            ),
            Number.at("Labels, fitted on the corpus", CORRELATION, result, "controls", "fitted"),
            Number.at("Planted neurons", CORRELATION, result, "controls", "planted"),
        ],
        [
            Plot(
                "What predicts a neuron's effects on unseen pictures, mean over neurons. Blue: "
                "its description with the picture's label. Green: labels alone, used in two "
                "ways: they can predict them. Grey: controls, from planted neurons that do what "
                "their direction says (the most this measure can show) to another neuron's "
                "description.",
                Dots(
                    [
                        Dot("planted neurons, own description", controls["planted"]),
                        Dot("labels, fitted on the corpus", controls["fitted"], Tone.INDIRECT),
                        Dot("labels of its top pictures", controls["top_labels"], Tone.INDIRECT),
                        Dot("own description", part["description"]["pearson"], Tone.SECOND),
                        Dot("own direction, no texts", part["direction"]["pearson"]),
                        Dot("own direction, no labels", controls["output"]),
                        Dot("own description, corpus pictures", controls["corpus"]),
                        Dot("another neuron's description", part["other_neuron"]["pearson"]),
                    ],
                    CORRELATION,
                ),
            ),
            Plot(
                "Neurons by the correlation, over unseen pictures, of their effect with what their "
                "description and the picture's label predict; in grey another neuron's "
                "description takes its place.",
                Steps(
                    part["pearson_bins"],
                    [
                        ("another neuron's description", Tone.CONTROL, part["other_counts"]),
                        ("own description", Tone.SECOND, part["pearson_counts"]),
                    ],
                    "Pearson correlation",
                ),
            ),
            Plot(
                "The same by layer, mean over neurons with 95 % intervals.",
                Lines.by_layer(
                    layers, {"fitted": ("labels, fitted", Tone.INDIRECT), **DESCRIBED}, CORRELATION
                ),
            ),
            *_precisions(result),
            Plot(
                "Five measures of agreement, mean over neurons. F1 and IoU compare the "
                f"{result['top']} strongest pictures with the same number of predicted ones.",
                Dots(
                    [
                        Dot(f"{title}, {name}", part[key][metric], tone)
                        for metric, title in METRICS.items()
                        for key, name, tone in PREDICTORS
                    ],
                    Scale("agreement"),
                ),
            ),
        ],
    )


def _precisions(result: Result) -> list[Plot]:
    """Draw AUPRC by layer; nothing where a bundle's evidence is from before it was kept."""
    part = result["descriptions"]
    rows = [{"layer": row["layer"], **row["auprc"]} for row in part["layers"] if "auprc" in row]
    if not rows:
        return []
    return [
        Plot(
            f"How well a description finds its neuron's {result['top']} strongest of "
            f"{result['pictures']:,} unseen pictures, by layer: the area under the "
            "precision-recall curve (AUPRC), mean over neurons with 95 % intervals; dotted: by "
            "chance.",
            Lines.by_layer(rows, DESCRIBED, Scale("AUPRC"), part["chance_auprc"]),
        )
    ]


CLAIM = Claim(
    title="Descriptions say what neurons respond to",
    sentence="From its texts one can tell which new pictures a neuron will act on.",
    rule="Holds if labels and a neuron's description predict its effects on unseen pictures with a "
    "mean Pearson correlation of at least 0.2 (the whole 95 % interval), and better than another "
    "neuron's description does (interval of the difference above 0). Partly if only better.",
    judge=judge,
    draw=draw,
    explain=explain,
    measure=Measure(
        "prediction", "Correlation of effects with words of the other half", CORRELATION
    ),
)
