"""Verdicts on the paper's claims from measured figures: pure rules, stated in words beside each.

A rule reads a section's result as the command prints it and nothing else. The paper's claims are
about OpenAI's CLIP models; a verdict says whether they hold on the model of this bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from explorer.evidence.figures import Figure, is_above, is_positive, reaches, value_of

HOLDS, PARTLY, FAILS = "holds", "partly", "doesn't hold"
Result = Mapping[str, Any]

MOST = 0.9
HALF = 0.5
CORRELATED = 0.2
CARRIED = 0.25
PICTOGRAMS = ("pictogram, single", "pictogram, multiple")
OWN_MAPS = ("second-order", "activation")
TEN = "hit@10"
OWN = "second-order"


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds, and why."""

    outcome: str
    """`HOLDS`, `PARTLY` or `FAILS`."""
    because: str
    """One sentence with the figures that decided."""


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, in our own words."""

    key: str
    section: str
    title: str
    sentence: str
    rule: str
    judge: Callable[[Result], Verdict]

    def verdict(self, evidence: Mapping[str, Any]) -> Verdict | None:
        """Return the verdict, or None where the section is not measured."""
        result = evidence.get(self.section)
        return self.judge(result) if result else None


def _ablation(result: Result) -> Verdict:
    rows = result["layers"]
    worst = max(rows, key=lambda row: value_of(row["second_order"]["drop"]))
    drop, beyond = worst["second_order"]["drop"], worst["second_beyond_first"]
    fell = f"in layer {worst['layer']} recall@1 falls by {_points(drop)} points"
    if not is_positive(drop):
        return Verdict(FAILS, f"even {fell}, which is not told from 0.")
    if not is_positive(beyond):
        return Verdict(PARTLY, f"{fell}, but ablating direct effects there costs as much or more.")
    return Verdict(HOLDS, f"{fell}, {_points(beyond)} more than without its direct effects.")


def _selectivity(result: Result) -> Verdict:
    every = result["all_layers"]
    kept, lost = every["kept_by_significant"], every["lost_without_significant"]
    if not is_positive(result["drop"]):
        return _nothing_lost(result["drop"])
    said = (
        f"of the recall that second-order effects carry, significant ones alone keep "
        f"{percent(kept)}; without them {percent(lost)} is lost."
    )
    passed = reaches(kept, HALF) + reaches(lost, HALF)
    return Verdict((FAILS, PARTLY, HOLDS)[passed], said)


def _rank(result: Result) -> Verdict:
    if not is_positive(result["drop"]):
        return _nothing_lost(result["drop"])
    return _by_share(
        result["all_layers"]["rank_1"]["kept"],
        "of the recall that second-order effects carry, one direction a neuron keeps {}.",
    )


def _texts(result: Result) -> Verdict:
    part = result["all_neurons"]
    if not is_positive(part["drop"]):
        return _nothing_lost(part["drop"])
    last = max((r for r in part["rows"] if r["method"] == "omp"), key=lambda row: row["m"])
    beyond = result["strongest"]["omp_beyond_random"]
    above = all(is_positive(row["cosine"]) for row in beyond)
    share = last["of_direction"]
    said = (
        f"{last['m']} texts keep {percent(share)} of the recall that the directions themselves "
        f"keep, and chosen texts are {'' if above else 'not '}nearer than random ones at every "
        "number."
    )
    if not above:
        return Verdict(FAILS, said)
    return Verdict(_by_interval(share), said)


def _kinds(result: Result) -> Verdict:
    better = []
    for other in ("direct", "indirect"):
        if is_positive(result[f"second_order_beyond_{other}"]["pearson"]):
            better.append(other)
    found = {kind: result[kind]["pearson"] for kind in ("second_order", "direct", "indirect")}
    said = (
        "labels and descriptions correlate with the effect by "
        f"{number(found['second_order'])} (second-order), {number(found['direct'])} (direct) and "
        f"{number(found['indirect'])} (indirect)."
    )
    return Verdict((FAILS, PARTLY, HOLDS)[len(better)], said)


def _descriptions(result: Result) -> Verdict:
    part = result["descriptions"]
    found, beyond = part["description"]["pearson"], part["beyond_other_neuron"]["pearson"]
    said = (
        "labels and a neuron's own description correlate with its effects by "
        f"{number(found)} in the mean, {number(beyond)} more than with another "
        "neuron's description."
    )
    if not is_positive(beyond):
        return Verdict(FAILS, said)
    return Verdict(HOLDS if reaches(found, CORRELATED) else PARTLY, said)


def _polysemy(result: Result) -> Verdict:
    part = result["polysemy"]
    found, chance = value_of(part["two_meanings"]), value_of(part["permuted"])
    said = (
        f"two unrelated meanings are verified in {100 * found:.1f} % of neurons, by chance in "
        f"{100 * chance:.1f} %; of the neurons with a verified meaning "
        f"{percent(part['of_verified'])} have two."
    )
    if not is_positive(part["beyond_permuted"]):
        return Verdict(FAILS, said)
    return Verdict(HOLDS if reaches(part["of_verified"], HALF) else PARTLY, said)


def _fit(result: Result) -> Verdict:
    second = result["orders"]["second_order"]["logit_share"]
    first = result["orders"]["first_order"]["logit_share"]
    said = (
        f"second-order effects carry {percent(second)} of the right answer's lead, direct effects "
        f"of the same neurons {percent(first)}."
    )
    if not is_positive(second):
        return Verdict(FAILS, said)
    return Verdict(HOLDS if reaches(second, CARRIED) else PARTLY, said)


def _segmentation(result: Result) -> Verdict:
    measure, form = "foreground_average_precision", "exact"
    said, apart = [], []
    for name in PICTOGRAMS:
        methods = {m: row[form][measure] for m, row in result["sets"][name]["methods"].items()}
        own = _best({m: found for m, found in methods.items() if m in OWN_MAPS})
        other = _best({m: found for m, found in methods.items() if m not in OWN_MAPS})
        ours, theirs = methods[own], methods[other]
        apart.append(is_above(ours, theirs))
        said.append(f"{value_of(ours):.2f} ({own}) against {value_of(theirs):.2f} ({other})")
    outcome = HOLDS if all(apart) else PARTLY if any(apart) else FAILS
    return Verdict(
        outcome, f"with one object {said[0]}; with several {said[1]}, the best other method."
    )


def _best(figures: Mapping[str, Figure]) -> str:
    return max(figures, key=lambda name: value_of(figures[name]))


def _discovery(result: Result) -> Verdict:
    sets = [result[name] for name in PICTOGRAMS]
    found = [value_of(part["concepts"][TEN]) for part in sets]
    chance = [value_of(part["chance"][TEN]) for part in sets]
    whole = [value_of(part["output"][TEN]) for part in sets]
    said = (
        f"ten texts name {_share(found[0])} of single objects and {_share(found[1])} of several; "
        f"of another scene's {_share(chance[0])} and {_share(chance[1])}; the whole output's "
        f"nearest texts {_share(whole[0])} and {_share(whole[1])}."
    )
    if not all(is_above(part["concepts"][TEN], part["chance"][TEN]) for part in sets):
        return Verdict(FAILS, said)
    enough = all(
        part["concepts"][TEN]["interval"][0] >= HALF * part["output"][TEN]["interval"][1]
        for part in sets
    )
    return Verdict(HOLDS if enough else PARTLY, said)


def _attack(result: Result) -> Verdict:
    rates = {name: row["two_way"] for name, row in result["methods"].items()}
    said = [f"{name} {percent(rate)}" for name, rate in rates.items()]
    own, others = rates.get(OWN), [rate for name, rate in rates.items() if name != OWN]
    beyond = result["beyond"].get("random")
    if own and others and all(is_above(own, other) for other in others):
        outcome = HOLDS
    else:
        outcome = PARTLY if beyond and is_positive(beyond) else FAILS
    return Verdict(outcome, f"pictures taken for the target: {'; '.join(said)}.")


def _by_share(share: Figure, sentence: str) -> Verdict:
    return Verdict(_by_interval(share), sentence.format(percent(share)))


def _by_interval(share: Figure) -> str:
    return HOLDS if reaches(share, MOST) else PARTLY if reaches(share, HALF) else FAILS


def _nothing_lost(drop: Figure) -> Verdict:
    return Verdict(
        FAILS,
        f"mean-ablating all these effects changes recall@1 by {_points(drop)} points, which is not "
        "told from 0: there is nothing to keep.",
    )


def _points(figure: Figure) -> str:
    return f"{100 * value_of(figure):.1f}"


def percent(figure: Figure) -> str:
    """Write a figure's value in percent."""
    return _share(value_of(figure))


def number(figure: Figure) -> str:
    """Write a figure's value, such as a correlation, without a unit."""
    return plain(value_of(figure))


def plain(value: float) -> str:
    """Write a number with three digits; what rounds to 0 has no sign."""
    return f"{round(value, 3) + 0.0:.3f}".replace("-", "−")


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


CLAIMS: dict[str, Claim] = {
    claim.key: claim
    for claim in (
        Claim(
            "ablation",
            "ablation",
            "Second-order effects matter",
            "What neurons send through later attention heads matters to what the model says, and "
            "most of it comes from a few layers; what they write straight to the output matters "
            "less there.",
            "Holds if, in the layer where it costs most, mean-ablating all second-order effects "
            "lowers recall@1 (95 % interval above 0) and lowers it further than mean-ablating the "
            "direct effects of that layer does (interval of the difference above 0). Partly if "
            "only the first.",
            _ablation,
        ),
        Claim(
            "selectivity",
            "selectivity",
            "Few pictures carry a neuron's effect",
            "A neuron acts on few pictures, and those few effects are the ones that count.",
            "Of the recall@1 lost when all second-order effects are mean-ablated: holds if the "
            "significant effects alone keep at least half, and without them at least half is lost "
            "(each by its whole 95 % interval). Partly if one of the two.",
            _selectivity,
        ),
        Claim(
            "rank",
            "rank",
            "One direction carries it",
            "Where a neuron acts, its effect keeps to one direction of the joint space.",
            "Of the recall@1 lost when all second-order effects are mean-ablated: holds if their "
            "projections on one direction a neuron keep at least 90 % (the whole 95 % interval). "
            "Partly from 50 % on.",
            _rank,
        ),
        Claim(
            "texts",
            "texts",
            "A few texts describe the direction",
            "That direction is a sparse sum of texts.",
            "Holds if the largest number of texts in the bundle keeps at least 90 % of the "
            "recall@1 that the directions themselves keep (the whole 95 % interval), and chosen "
            "texts reconstruct better than random ones at every number (interval above 0). Partly "
            "from 50 % on.",
            _texts,
        ),
        Claim(
            "kinds",
            "kinds",
            "Direct and indirect effects say less",
            "Second-order effects tell more about what a neuron means than its direct effect on "
            "the output or the whole change when it is ablated.",
            "Over neurons of the last layer: holds if the second-order description predicts "
            "effects from labels better (Pearson, interval of the difference above 0) than the "
            "direct and than the indirect one does theirs. Partly if better than one of them.",
            _kinds,
        ),
        Claim(
            "descriptions",
            "predict",
            "Descriptions say what neurons respond to",
            "From its texts one can tell which new pictures a neuron will act on.",
            "Holds if labels and a neuron's description predict its effects on unseen pictures "
            "with a mean Pearson correlation of at least 0.2 (the whole 95 % interval), and better "
            "than another neuron's description does (interval of the difference above 0). Partly "
            "if only better.",
            _descriptions,
        ),
        Claim(
            "polysemy",
            "predict",
            "One neuron, several meanings",
            "Many neurons stand for several unrelated things.",
            "Holds if the share of neurons with two unrelated, label-verified meanings is above "
            "that with permuted labels (interval of the difference above 0), and of the neurons "
            "with any verified meaning at least half have two (the whole 95 % interval). Partly if "
            "only above.",
            _polysemy,
        ),
        Claim(
            "fit",
            "fit",
            "How much of the output this is",
            "Second-order effects are a substantial part of the output.",
            "Holds if they carry at least a quarter of the right answer's lead over the other "
            "candidates (the whole 95 % interval). Partly if any (interval above 0).",
            _fit,
        ),
        Claim(
            "segmentation",
            "segmentation",
            "They show where a thing is",
            "Asked for a text, the neurons that point to it mark its place in a picture better "
            "than other ways of asking the same model.",
            "Foreground average precision of the unrefined maps on pictogram scenes: holds if a "
            "second-order map (token shares, or activations of aligned neurons) is above every "
            "other method on scenes with one and with several objects, intervals apart. Partly if "
            "on one of the two.",
            _segmentation,
        ),
        Claim(
            "discovery",
            "discovery",
            "They name what is in a picture",
            "The texts of the neurons that act strongly on a picture name what it shows.",
            "Share of a scene's objects named by the ten best texts: holds if it is above that "
            "of another scene's labels (intervals apart), with one and with several objects, and "
            "at least half of what the whole output reaches (lower end against upper end). Partly "
            "if only above.",
            _discovery,
        ),
        Claim(
            "attack",
            "attack",
            "Spurious concepts mislead the model",
            "Things that a class's neurons respond to beside the class itself turn the model's "
            "answer when they are put into a picture of another class.",
            "Share of pictures taken for the target rather than the source: holds if concepts "
            "from second-order effects fool more than each other way of choosing what is added "
            "(intervals apart). Partly if more than concepts drawn at random (interval of the "
            "difference above 0).",
            _attack,
        ),
    )
}
