"""What is said of neurons is more than chance gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from explorer.evidence.claim import FAILS, HOLDS, PARTLY, Claim, Result, Verdict, in_percent
from explorer.evidence.drawing import (
    CORRELATION,
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
from explorer.evidence.figures import is_above

OWN, RANDOM = "passing", "random_weights"
SIDES = {"words": "words", "drivers": "what drives it"}
NAMES = {
    OWN: "as it is",
    RANDOM: "random weights",
    "dealt_texts": "another neuron's texts",
    "random_directions": "random directions",
    "shuffled_labels": "labels shuffled",
}
PURSUITS = {
    "coherent": ("coherent", Tone.SECOND),
    "nonnegative": ("non-negative", Tone.INDIRECT),
    "omp": ("matching pursuit", Tone.DIRECT),
}
NEURONS = percent("of neurons")


def judge(result: Result) -> Verdict:
    """Judge both sides against all their controls."""
    passed = [_beats_controls(result[side], result["nominal"]) for side in SIDES]
    words, drivers = result["words"], result["drivers"]
    outcome = HOLDS if all(passed) else PARTLY if any(passed) else FAILS
    return Verdict(
        outcome,
        f"in a sample of {words[OWN]['count']:,} neurons words pass for {in_percent(words[OWN])} "
        f"(random weights: {in_percent(words[RANDOM])}), what drives them for "
        f"{in_percent(drivers[OWN])} ({in_percent(drivers[RANDOM])}).",
    )


def explain(result: Result) -> list[str]:
    """Say what a sample can see."""
    return [
        f"A sample of {result['pictures']:,} of {result['corpus']:,} pictures sees less than the "
        "build, which tests every neuron on more of them: its own shares are larger where there "
        "is something to find.",
        "The tests are not blind: planted neurons, whose directions are sums of two texts and "
        "which answer to their pictures, pass in the project's own tests.",
    ]


def draw(result: Result) -> Shown:
    """Draw the shares that pass, by layer, by control, and from the top down."""
    layers, nominal = result["layers"], result["nominal"]
    rate = f"{100 * nominal:.0f} %"
    pairs = [(side, name) for side in SIDES for name in result[side]]
    return Shown(
        [
            Number.at("Words pass", NEURONS, result, "words", OWN),
            Number.at("Words pass, random weights", NEURONS, result, "words", RANDOM),
            Number.at("Drivers pass", NEURONS, result, "drivers", OWN),
            Number.at("Drivers pass, random weights", NEURONS, result, "drivers", RANDOM),
        ],
        [
            Plot(
                "Share of neurons whose words, and what drives them, are more than chance at a "
                f"false discovery rate of {rate} (dotted), by layer; and of a tower of the same "
                "architecture with random weights. Bars: 95 % intervals.",
                Lines(
                    [
                        _by_layer(layers, "words", OWN, "words", Tone.SECOND),
                        _by_layer(layers, "drivers", OWN, "what drives it", Tone.JOINT),
                        _by_layer(layers, "words", RANDOM, "words, random", Tone.CONTROL),
                        _by_layer(layers, "drivers", RANDOM, "drives it, random", Tone.ABLATED),
                    ],
                    [str(row["layer"]) for row in layers],
                    percent("neurons that pass"),
                    "layer",
                    nominal,
                ),
            ),
            Plot(
                "The same over all layers, with every control: one thing is made meaningless, and "
                "the share must fall to the nominal rate (dotted).",
                Dots([_dot(result, *pair) for pair in pairs], NEURONS, nominal),
            ),
            Plot(
                "Without correction for testing many neurons: share with a p-value of at most "
                f"{rate}. A right test gives up to that (dotted) where nothing is to be found.",
                Dots([_dot(result["uncorrected"], *pair) for pair in pairs], NEURONS, nominal),
            ),
            Plot(
                "Weights drawn anew from the output down: the topmost blocks first, at the right "
                "the whole tower.",
                Lines(
                    [
                        Series("words", Tone.SECOND, [r["words"] for r in result["cascade"]]),
                        Series(
                            "what drives it", Tone.JOINT, [r["drivers"] for r in result["cascade"]]
                        ),
                    ],
                    [str(row["blocks"]) for row in result["cascade"]],
                    percent("neurons that pass"),
                    "blocks drawn anew",
                    nominal,
                ),
            ),
            Plot(
                "How well texts chosen from one half of the pictures predict effects on the other, "
                "mean over neurons, for three ways of choosing them.",
                _pursuits(result),
            ),
        ],
    )


def _beats_controls(shares: Mapping[str, Any], nominal: float) -> bool:
    """Return whether the own share is above every control, and none is above the nominal rate."""
    controls = [share for name, share in shares.items() if name != OWN]
    usual = all(not c["interval"] or c["interval"][0] <= nominal for c in controls)
    return usual and all(is_above(shares[OWN], control) for control in controls)


def _by_layer(layers: Sequence[Result], side: str, name: str, title: str, tone: Tone) -> Series:
    return Series(title, tone, [row[side][name] for row in layers])


def _dot(found: Result, side: str, name: str) -> Dot:
    tone = Tone.CONTROL if name != OWN else Tone.SECOND if side == "words" else Tone.JOINT
    return Dot(f"{SIDES[side]}, {NAMES[name]}", found[side][name], tone)


def _pursuits(result: Result) -> Lines:
    rows = result["pursuits"]
    sizes = sorted({row["texts"] for row in rows})
    found = {(row["pursuit"], row["texts"]): row["prediction"] for row in rows}
    return Lines(
        [
            Series(title, tone, [found[name, size] for size in sizes])
            for name, (title, tone) in PURSUITS.items()
        ],
        [str(size) for size in sizes],
        CORRELATION,
        "texts",
    )


CLAIM = Claim(
    title="More than chance",
    sentence="What is said of neurons is more than a network without meaning would give.",
    rule="Holds if more neurons pass than with every control (95 % intervals apart), and no "
    "control passes above the nominal 5 % (its whole interval), for words and for what drives "
    "neurons. Partly if for one of the two.",
    judge=judge,
    draw=draw,
    explain=explain,
)
