"""Maps of second-order effects show where a thing is."""

from __future__ import annotations

from collections.abc import Mapping

from explorer.evidence.claim import (
    FAILS,
    HOLDS,
    PARTLY,
    PICTOGRAMS,
    Claim,
    Measure,
    Result,
    Verdict,
)
from explorer.evidence.drawing import Dot, Dots, Number, Plot, Scale, Shown, Tone
from explorer.evidence.figures import Figure, is_above, value_of
from explorer.picture.methods import METHODS

MEASURE = "foreground_average_precision"
FORM = "exact"
COMPETING = "competing"
OWN = tuple(method.name for method in METHODS.values() if method.reads_neurons)
"""Methods that read second-order effects."""
PRECISION = Scale("foreground average precision")


def judge(result: Result) -> Verdict:
    """Judge the best own method, the same on both kinds of scenes, against the best other ones."""
    kinds = [_precisions(result, scenes) for scenes in PICTOGRAMS]
    own = _best_own(result)
    others = [_best(_others(found)) for found in kinds]
    apart = [is_above(found[own], found[other]) for found, other in zip(kinds, others, strict=True)]
    single, several = (
        f"{_written(found[own])} (best other {_written(found[other])}, “{_title(other)}”)"
        for found, other in zip(kinds, others, strict=True)
    )
    outcome = HOLDS if all(apart) else PARTLY if any(apart) else FAILS
    return Verdict(
        outcome,
        f"average precision of “{_title(own)}” with one object {single}, with several {several}.",
    )


def explain(result: Result) -> list[str]:
    """Say what the better methods see, with one object and with several."""
    single, several = (
        {method: _written(found) for method, found in _precisions(result, scenes).items()}
        for scenes in PICTOGRAMS
    )
    said = []
    if "attention" in single and "attention" in several:
        said.append(
            "Attention of the class token finds whatever stands out and never reads the text: "
            f"from one object to several it falls from {single['attention']} to "
            f"{several['attention']}, second-order effects from {single['second-order']} to "
            f"{several['second-order']}."
        )
    if "textspan" in several:
        said.append(
            "TextSpan sums all that attention heads write to the output, second-order effects "
            f"among it; it reaches {single['textspan']} and {several['textspan']}. We think that "
            "what does not come from neurons helps to find a place as well."
        )
    return [
        *said,
        *_fairness(result),
        "Checked: a map and the class token's share add up to the whole effect, and an object in a "
        "corner lights that corner.",
    ]


def _fairness(result: Result) -> list[str]:
    """Say what texts that compete have and other methods lack, and how far these get with it."""
    if _best_own(result) != COMPETING:
        return []
    kinds = [_precisions(result, scenes, "refined") for scenes in PICTOGRAMS]
    own = " and ".join(_written(found[COMPETING]) for found in kinds)
    other = " and ".join(_written(found[_best(_others(found))]) for found in kinds)
    return [
        "Texts that compete know the dictionary's other texts, and that patches which look alike "
        "belong together. Other methods know the second only when they are refined: the best of "
        f"these then reach {other}, texts that compete {own}."
    ]


def draw(result: Result) -> Shown:
    """Draw the average precision of every method's maps."""
    numbers, plots = [], []
    for scenes, part in result["sets"].items():
        rows = [
            Dot(
                f"{_title(method)}, {form}",
                found[MEASURE],
                Tone.SECOND if method in OWN else Tone.CONTROL,
            )
            for method, forms in part["methods"].items()
            for form, found in forms.items()
        ]
        numbers += _numbers(result, scenes)
        plots.append(
            Plot(
                f"{scenes[0].upper()}{scenes[1:]}: {part['scenes']:,} scenes, "
                f"{part['objects']:,} objects. Average precision of an object's own pixels when "
                "all pixels are ordered by each map; blue: from second-order effects. Bars: 95 % "
                "intervals over scenes.",
                Dots(rows, PRECISION),
            )
        )
    return Shown(numbers, plots)


def _numbers(result: Result, scenes: str) -> list[Number]:
    """Return the figures of exact second-order maps, of the best own and the best other method."""
    found = _precisions(result, scenes)
    groups = (
        [method for method in found if method == "second-order"],
        [method for method in found if method in OWN],
        [method for method in found if method not in OWN],
    )
    best = dict.fromkeys(_best({name: found[name] for name in group}) for group in groups if group)
    return [
        Number.at(
            f"{_title(name)}, {scenes}",
            PRECISION, result, "sets", scenes, "methods", name, FORM, MEASURE,
        )
        for name in best
    ]  # fmt: skip


def _precisions(result: Result, scenes: str, form: str = FORM) -> dict[str, Figure]:
    """Return each method's figure on a set of scenes."""
    methods = result["sets"][scenes]["methods"]
    return {method: forms[form][MEASURE] for method, forms in methods.items()}


def _best_own(result: Result) -> str:
    """Return the method by second-order effects with the best mean over both kinds of scenes."""
    kinds = [_precisions(result, scenes) for scenes in PICTOGRAMS]
    own = [method for method in kinds[0] if method in OWN]
    return max(own, key=lambda method: sum(value_of(found[method]) for found in kinds))


def _others(figures: Mapping[str, Figure]) -> dict[str, Figure]:
    return {method: found for method, found in figures.items() if method not in OWN}


def _best(figures: Mapping[str, Figure]) -> str:
    return max(figures, key=lambda name: value_of(figures[name]))


def _title(method: str) -> str:
    """Return what a method is called; a name that is no longer known as it is."""
    return METHODS[method].title if method in METHODS else method


def _written(figure: Figure) -> str:
    return f"{value_of(figure):.3f}"


CLAIM = Claim(
    title="They show where a thing is",
    sentence="Asked for a text, the neurons that point to it mark its place in a picture better "
    "than other ways of asking the same model.",
    rule="Foreground average precision of the unrefined maps on pictogram scenes: holds if the "
    "best second-order map (token shares, activations of aligned neurons, these with texts "
    "competing, or aligned pairs; one for both) is above every other method on scenes with one and "
    "with several objects, intervals apart. Partly if on one of the two.",
    judge=judge,
    draw=draw,
    explain=explain,
    measure=Measure("maps", "Foreground average precision of second-order maps", PRECISION),
)
