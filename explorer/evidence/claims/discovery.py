"""The texts of the neurons that act on a picture name what is in it."""

from __future__ import annotations

from collections.abc import Mapping

from explorer.evidence.claim import (
    FAILS,
    HALF,
    HOLDS,
    PARTLY,
    PICTOGRAMS,
    Claim,
    Result,
    Verdict,
    in_percent,
)
from explorer.evidence.drawing import (
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
from explorer.evidence.figures import is_above, reaches

TEN = "hit@10"
RANKINGS = {
    "concepts": ("concepts of the picture", Tone.SECOND),
    "sets": ("merged sparse sets", Tone.FURTHER),
    "output": ("whole output's nearest texts", Tone.INDIRECT),
    "likely": ("both together (“likely in it”)", Tone.JOINT),
    "chance": ("another scene's labels", Tone.CONTROL),
}


def judge(result: Result) -> Verdict:
    """Judge ten texts against another scene's labels, and against the whole output's texts."""
    sets = [result[name] for name in PICTOGRAMS]
    found, chance, whole = (
        [in_percent(part[ranking][TEN]) for part in sets]
        for ranking in ("concepts", "chance", "output")
    )
    said = (
        f"ten texts name {found[0]} of single objects and {found[1]} of several; of another "
        f"scene's {chance[0]} and {chance[1]}; the whole output's nearest texts {whole[0]} and "
        f"{whole[1]}."
    )
    if not all(is_above(part["concepts"][TEN], part["chance"][TEN]) for part in sets):
        return Verdict(FAILS, said)
    enough = all(
        reaches(part["concepts"][TEN], HALF * part["output"][TEN]["interval"][1]) for part in sets
    )
    return Verdict(HOLDS if enough else PARTLY, said)


def draw(result: Result) -> Shown:
    """Draw how often the best texts name what is in a scene."""
    sets = {
        name: part
        for name, part in result.items()
        if isinstance(part, Mapping) and "concepts" in part
    }
    numbers, plots = [], []
    for name, part in sets.items():
        hits = [key for key in part["concepts"] if key.startswith("hit@")]
        numbers.append(
            Number.at(
                f"Named by {hits[-1].removeprefix('hit@')} texts, {name}",
                percent("of objects"), result, name, "concepts", hits[-1],
            )
        )  # fmt: skip
        plots.append(
            Plot(
                f"{name[0].upper()}{name[1:]}: {part['scenes']:,} scenes. Share of their objects "
                "(those whose label is in the dictionary) that the best texts name. Bars: 95 % "
                "intervals over scenes.",
                Lines(
                    [
                        Series(title, tone, [part[ranking][hit] for hit in hits])
                        for ranking, (title, tone) in RANKINGS.items()
                        if ranking in part
                    ],
                    [hit.removeprefix("hit@") for hit in hits],
                    percent("objects named"),
                    "texts",
                ),
            )
        )
    sure = {name: part for name, part in sets.items() if "confidence" in part}
    told = percent("of pairs of a present and an absent text")
    numbers += [
        Number.at(f"Present told from absent, {name}", told, result, name, "confidence", "auc")
        for name in sure
    ]
    return Shown(numbers, [*plots, _doubted(sure)] if sure else plots)


def _doubted(sets: Mapping[str, Result]) -> Plot:
    """Describe which texts the Image page calls doubtful, by set of scenes."""
    kinds = (("present", Tone.SECOND), ("absent", Tone.CONTROL))
    return Plot(
        "Texts that the Image page calls doubtful, of things in a scene (blue) and of things in "
        "another one. Bars: 95 % intervals over scenes.",
        Dots(
            [
                Dot(f"{name}, {kind}", part["confidence"][f"{kind}_doubted"], tone)
                for name, part in sets.items()
                for kind, tone in kinds
            ],
            percent("of texts called doubtful"),
        ),
    )


CLAIM = Claim(
    title="They name what is in a picture",
    sentence="The texts of the neurons that act strongly on a picture name what it shows.",
    rule="Share of a scene's objects named by the ten best texts: holds if it is above that of "
    "another scene's labels (intervals apart), with one and with several objects, and at least "
    "half of what the whole output reaches (lower end against upper end). Partly if only above.",
    judge=judge,
    draw=draw,
)
