"""Why a claim may not hold, and what was checked to rule out a bug, said from measured figures.

Pure functions of a section's result, like `verdicts`. A sentence is there only if its figures say
so; every number in it is one of the result's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from explorer.evidence.claims.verdicts import (
    MOST,
    PICTOGRAMS,
    number,
    percent,
    plain,
)
from explorer.evidence.figures import is_positive, reaches, value_of

Result = Mapping[str, Any]
ORACLE = (
    "Checked on a small model with random weights, where every effect can be formed and every "
    "ablation done by a hook: sums, norms, masks, projections and recomputations agree; effects "
    "agree with reference numbers of the code released with the paper."
)


def selectivity(result: Result) -> list[str]:
    """Effects are spread."""
    every = result["all_layers"]
    said = []
    kept, random = every["kept_by_significant"], every["kept_by_random"]
    if kept["interval"] and random["interval"] and kept["interval"][0] > random["interval"][1]:
        said.append(
            f"Strength does matter: as many effects drawn at random keep {percent(random)}, the "
            f"significant ones {percent(kept)}."
        )
    enough = next((row for row in result["lowered"] if reaches(row["kept"], MOST)), None)
    if enough:
        said.append(
            f"But many count: to keep {percent(enough['kept'])} it takes all effects above "
            f"{enough['threshold']} of a neuron's threshold, {percent(enough['effects'])} of them. "
            f"We think that the small effects of {result['above']['neurons']:,} neurons add up."
        )
    return [*said, ORACLE]


def rank(result: Result) -> list[str]:
    """More directions, and unseen pictures."""
    every, explained = result["all_layers"], result["explained_variance"]
    return [
        f"Two directions a neuron keep {percent(every['rank_2']['kept'])}, three "
        f"{percent(every['rank_3']['kept'])}: what one direction misses is not noise.",
        f"Of the squared significant effects one direction explains "
        f"{percent(explained['build']['rank_1'])} on the build's pictures and "
        f"{percent(explained['evaluation'])} on unseen ones: it is not fitted to the former alone. "
        "We think that the many weaker effects keep less to it.",
        ORACLE,
    ]


def kinds(result: Result) -> list[str]:
    """How small a difference could be told, and what chance gives."""
    own, other = result["second_order"], result["other_neuron"]
    said = []
    for kind in ("direct", "indirect"):
        beyond = result[f"second_order_beyond_{kind}"]["pearson"]
        if beyond["interval"]:
            said.append(
                f"Second-order against {kind}: {number(beyond)} more, with 95 % certainty between "
                f"{plain(beyond['interval'][0])} and {plain(beyond['interval'][1])}, over "
                f"{beyond['count']:,} neurons and {result['test_pictures']:,} pictures."
            )
    said.append(
        f"Chance: with another neuron's description {number(other['pearson'])}, with its own "
        f"{number(own['pearson'])}."
    )
    said.append(
        "Size is another matter: second-order effects account for "
        f"{percent(own['aligned_share'])} of what the neurons change in all, direct ones for "
        f"{percent(result['direct']['aligned_share'])}."
    )
    return [*said, ORACLE]


def descriptions(result: Result) -> list[str]:
    """Whether the measure is blind, and what labels can tell."""
    found, part = result["controls"], result["descriptions"]
    said = [
        "The measure is not blind: planted neurons, whose effect is what their direction says, "
        f"reach {number(found['planted'])} with the same descriptions, labels and pictures, and "
        f"{number(found['planted_other_neuron'])} with another neuron's description."
    ]
    own = part["description"]["pearson"]
    if is_positive(found["fitted"]) and found["fitted"]["value"] > 2 * (own["value"] or 0):
        said += [
            "Neurons do follow labels: a linear map from labels, fitted on corpus pictures, "
            f"predicts effects on unseen ones by {number(found['fitted'])}; the labels of a "
            f"neuron's top pictures alone, by {number(found['top_labels'])}.",
            "But not along their directions: what a neuron responds to and where it moves the "
            f"output have a cosine of {number(found['alignment'])}. We think that only the sum of "
            f"{result['neurons']:,} small contributions has to point to what is seen, not each.",
        ]
    said.append(
        "It is not lost in the texts, the labels or the unseen style: the direction itself "
        f"predicts {number(part['direction']['pearson'])}, the picture's own output in place of "
        f"its label {number(found['output'])}"
        + (
            f", on corpus pictures in place of unseen ones the description "
            f"{number(found['corpus'])}."
            if found["corpus"]["value"] is not None
            else "."
        )
    )
    strong = found["strong"][-1]
    if strong["pearson"]["count"]:
        said.append(
            f"The exceptions are found: the {strong['pearson']['count']:,} neurons with an "
            f"agreement of at least {strong['agreement']} reach {number(strong['pearson'])}."
        )
    return [*said, ORACLE]


def polysemy(result: Result) -> list[str]:
    """What can be confirmed at all."""
    part, score = result["polysemy"], result["monosemanticity"]["positive_side"]
    said = [
        "Few meanings can be confirmed at all: in the mean "
        f"{number(part['verified_clusters'])} a neuron. "
        f"The {result['pictures']:,} pictures have {result['candidates']:,} labels, and a meaning "
        f"needs two related ones among a neuron's {result['top']} strongest.",
        "Meanings are read off descriptions, which predict effects by "
        f"{number(result['descriptions']['description']['pearson'])} only (see the claim before): "
        "what a neuron responds to, but does not write, is not counted.",
    ]
    if is_positive(score["beyond_permuted"]):
        said.append(
            "Neurons are not without meaning: the pictures of their positive side are more alike "
            f"({number(score['score'])}) than pictures drawn at random "
            f"({number(score['permuted'])})."
        )
    return said


def segmentation(result: Result) -> list[str]:
    """What the better methods see, with one object and with several."""
    measure = "foreground_average_precision"
    single, several = ({m: r["exact"] for m, r in _methods(result, n).items()} for n in PICTOGRAMS)
    said = []
    if "attention" in single and "attention" in several:
        said.append(
            "Attention of the class token finds whatever stands out and never hears of the text: "
            f"from one object to several it falls from "
            f"{value_of(single['attention'][measure]):.2f} to "
            f"{value_of(several['attention'][measure]):.2f}, second-order effects from "
            f"{value_of(single['second-order'][measure]):.2f} to "
            f"{value_of(several['second-order'][measure]):.2f}."
        )
    if "textspan" in several:
        said.append(
            "TextSpan sums all that attention heads write to the output, second-order effects "
            f"among it; it reaches {value_of(single['textspan'][measure]):.2f} and "
            f"{value_of(several['textspan'][measure]):.2f}. We think that what does not come from "
            "neurons helps to find a place as well."
        )
    return [
        *said,
        "Checked: a map and the class token's share add up to the whole effect, and an object in a "
        "corner lights that corner.",
    ]


def attack(result: Result) -> list[str]:
    """How much the neurons have to do with it, and how much the trials."""
    rates = {name: percent(row["two_way"]) for name, row in result["methods"].items()}
    said = []
    if {"second-order", "random, tried", "nearest, tried", "indirect, tried"} <= rates.keys():
        said.append(
            "All concepts are tried in a few scenes before the best are used, and that helps any "
            f"shortlist: with the same trials, concepts drawn at random reach "
            f"{rates['random, tried']}, texts nearest to the target {rates['nearest, tried']}, "
            f"those by indirect effects {rates['indirect, tried']}, those by second-order effects "
            f"{rates['second-order']}."
        )
    if {"untried", "random", "nearest"} <= rates.keys():
        said.append(
            f"Without trials: by second-order effects {rates['untried']}, nearest texts "
            f"{rates['nearest']}, drawn at random {rates['random']}."
        )
    return [
        *said,
        "Checked on the pictures' pixels: the source is whole and larger than all that is added, "
        "and the target and what is named like it are absent. Trials show the source in the "
        "corpus's styles where it has any, not the held-out pictures that are attacked.",
    ]


def _methods(result: Result, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = result["sets"][name]["methods"]
    return found


CHECKS: dict[str, Callable[[Result], list[str]]] = {
    "selectivity": selectivity,
    "rank": rank,
    "kinds": kinds,
    "descriptions": descriptions,
    "polysemy": polysemy,
    "segmentation": segmentation,
    "attack": attack,
}
