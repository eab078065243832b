"""Spurious concepts, read off neurons, mislead the model."""

from __future__ import annotations

from collections.abc import Mapping

from explorer.evidence.claim import FAILS, HOLDS, PARTLY, Claim, Result, Verdict, in_percent
from explorer.evidence.drawing import Dot, Dots, Number, Plot, Shown, Tone, percent
from explorer.evidence.figures import Figure, is_above, is_positive

OWN = "second-order"
TAKEN = percent("of pictures taken for the target")


def judge(result: Result) -> Verdict:
    """Judge second-order concepts against every other way to choose what is added."""
    rates = _rates(result, "two_way")
    own, others = rates.get(OWN), [rate for name, rate in rates.items() if name != OWN]
    beyond = result["beyond"].get("random")
    if own and others and all(is_above(own, other) for other in others):
        outcome = HOLDS
    else:
        outcome = PARTLY if beyond and is_positive(beyond) else FAILS
    said = "; ".join(f"{name} {in_percent(rate)}" for name, rate in rates.items())
    return Verdict(outcome, f"pictures taken for the target: {said}.")


def explain(result: Result) -> list[str]:
    """Say how much the neurons have to do with it, and how much the trials."""
    rates = {name: in_percent(rate) for name, rate in _rates(result, "two_way").items()}
    said = []
    if {OWN, "random, tried", "nearest, tried", "indirect, tried"} <= rates.keys():
        said.append(
            "All concepts are tried in a few scenes before the best are used, and that helps any "
            f"shortlist: with the same trials, concepts drawn at random reach "
            f"{rates['random, tried']}, texts nearest to the target {rates['nearest, tried']}, "
            f"those by indirect effects {rates['indirect, tried']}, those by second-order effects "
            f"{rates[OWN]}."
        )
    if {"untried", "random", "nearest"} <= rates.keys():
        said.append(
            f"Without trials: by second-order effects {rates['untried']}, nearest texts "
            f"{rates['nearest']}, drawn at random {rates['random']}."
        )
    if not result.get("recognised", 1):
        said.append(
            "No two unlike classes are recognised by their pictures, so the pairs are of classes "
            "that the model does not know: what is added hardly counts."
        )
    return [
        *said,
        "Checked on the pictures' pixels: the source is whole and larger than all that is added, "
        "and the target and what is named like it are absent. Trials show the source in the "
        "corpus's styles where it has any, not the held-out pictures that are attacked.",
    ]


def draw(result: Result) -> Shown:
    """Draw how often pictures are taken for the target, by what was added to them."""
    made = f"{result['pairs']:,} pairs of classes, {result['scenes']:,} pictures each"
    return Shown(
        [
            Number.at(f"Fooled: {name}", TAKEN, result, "methods", name, "two_way")
            for name in result["methods"]
        ],
        [
            Plot(
                f"Pictures taken for the target rather than the source class, by how the things "
                f"added to them were chosen; {made}. Bars: 95 % intervals over pairs.",
                _dots(_rates(result, "two_way")),
            ),
            Plot(
                f"The same among all {result['classes']:,} classes.",
                _dots(_rates(result, "all_classes")),
            ),
        ],
    )


def _rates(result: Result, name: str) -> dict[str, Figure]:
    return {method: row[name] for method, row in result["methods"].items()}


def _dots(rates: Mapping[str, Figure]) -> Dots:
    tones = {OWN: Tone.SECOND}
    return Dots([Dot(name, rate, tones.get(name, Tone.CONTROL)) for name, rate in rates.items()],
                TAKEN)  # fmt: skip


CLAIM = Claim(
    title="Spurious concepts mislead the model",
    sentence="Things that a class's neurons respond to beside the class itself turn the model's "
    "answer when they are put into a picture of another class.",
    rule="Share of pictures taken for the target rather than the source: holds if concepts from "
    "second-order effects fool more than each other way of choosing what is added (intervals "
    "apart). Partly if more than concepts drawn at random (interval of the difference above 0).",
    judge=judge,
    draw=draw,
    explain=explain,
)
