"""The heads of a neuron with several meanings carry them apart."""

from __future__ import annotations

from explorer.evidence.claim import FAILS, HOLDS, PARTLY, Claim, Result, Verdict, number
from explorer.evidence.drawing import Dot, Dots, Number, Plot, Scale, Shown, Tone
from explorer.evidence.figures import is_positive, value_of

LEAST = 0.1
"""Bits beyond shuffled heads from which the claim holds."""
BITS = Scale("bits")


def judge(result: Result) -> Verdict:
    """Judge the information of heads on meanings beyond that of shuffled ones."""
    found = result["meanings"]
    beyond = found["beyond_shuffled"]
    if beyond["value"] is None:
        return Verdict(FAILS, "labels verify two meanings of no neuron.")
    outcome = FAILS
    if is_positive(beyond):
        outcome = HOLDS if beyond["interval"][0] >= LEAST else PARTLY
    return Verdict(
        outcome,
        f"over {found['neurons']:,} neurons with two or more verified meanings, head and meaning "
        f"share {number(found['information'])} bits, {number(beyond)} more than with heads "
        "shuffled.",
    )


def explain(result: Result) -> list[str]:
    """Say what information there would be by chance, and why heads may not separate meanings."""
    found = result["meanings"]
    said = [
        f"With so few pictures of a neuron ({found['pictures']}) heads shuffled at random share "
        f"{number(found['shuffled'])} bits with meanings.",
    ]
    if value_of(found["beyond_shuffled"]) < LEAST:
        said.append(
            "All heads of a neuron read the same activation. A head separates meanings only "
            "where it looks at other places, or weighs pictures otherwise, than the others do."
        )
    return said


def draw(result: Result) -> Shown:
    """Draw the information beside that of shuffled heads."""
    found = result["meanings"]
    return Shown(
        [
            Number.at("Head and meaning share", BITS, result, "meanings", "information"),
            Number.at("Heads shuffled", BITS, result, "meanings", "shuffled"),
            Number.at("Beyond these", BITS, result, "meanings", "beyond_shuffled"),
        ],
        [
            Plot(
                "Mutual information of the head that carries most of a neuron's effect on a "
                "picture and the meaning that the picture's label names; mean over neurons with "
                "two or more verified meanings, 95 % intervals.",
                Dots(
                    [
                        Dot("heads as they are", found["information"], Tone.SECOND),
                        Dot("heads dealt at random", found["shuffled"]),
                    ],
                    BITS,
                ),
            )
        ],
    )


CLAIM = Claim(
    title="Heads carry meanings apart",
    sentence="Where a neuron has several meanings, which of them a picture shows goes with which "
    "later head carries the neuron's effect on it.",
    rule="Mutual information of head and meaning beyond that of heads dealt at random, mean over "
    "neurons with two or more meanings that labels verify: holds if it is at least 0.1 bits (the "
    "whole 95 % interval), partly if above 0.",
    judge=judge,
    draw=draw,
    explain=explain,
)
