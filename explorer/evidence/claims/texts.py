"""A direction is a sparse sum of texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from explorer.evidence.claim import (
    BY_LEAD,
    FAILS,
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
    outcome_of,
)
from explorer.evidence.drawing import (
    COSINE,
    RECALL,
    Lines,
    Number,
    Plot,
    Scale,
    Series,
    Shown,
    Tone,
    percent,
)
from explorer.evidence.figures import Figure, is_positive

CHOICES = {
    "omp": ("matching pursuit", Tone.SECOND),
    "nonnegative": ("non-negative", Tone.INDIRECT),
    "lasso": ("lasso", Tone.DIRECT),
    "random": ("random texts", Tone.CONTROL),
}
NOTHING: Figure = {"value": None, "interval": None, "count": 0}


def judge(result: Result) -> Verdict:
    """Judge what the bundle's sparse sets keep, and whether choosing texts matters."""
    part = result["all_neurons"]
    above = all(is_positive(row["cosine"]) for row in result["strongest"]["omp_beyond_random"])
    last = max((r for r in part["rows"] if r["method"] == "omp"), key=lambda row: row["m"])
    share = last["of_direction"]
    if not has_share(part["drop"], share):
        found = by_lead(part["drop"], part.get("lead"), _judge_lead)
        return found if above else replace(found, outcome=FAILS)
    said = (
        f"{last['m']} texts keep {in_percent(share)} of the recall that the directions themselves "
        f"keep, and chosen texts are {'' if above else 'not '}nearer than random ones at every "
        "number."
    )
    return Verdict(outcome_of(share) if above else FAILS, said)


def _judge_lead(lead: Result) -> Verdict:
    return by_share(
        lead["of_direction"],
        "of what the directions add to the right answer's lead, the texts keep {}.",
    )


def draw(result: Result) -> Shown:
    """Draw recall and reconstruction by number of texts."""
    some, every = result["strongest"], result["all_neurons"]
    place = {(row["method"], row["m"]): number for number, row in enumerate(every["rows"])}
    most = max(m for method, m in place if method == "omp")
    kept = percent("of what is lost without effects")
    rows = ("all_neurons", "rows")
    return Shown(
        measurable([
            Number.at(f"Kept by {most} texts", kept, result, *rows, place["omp", most], "kept"),
            Number.at(
                "Kept by the directions", kept, result, *rows, place["direction", None], "kept"
            ),
            Number.at(
                "Kept by the nearest text", kept, result, *rows, place["nearest", 1], "kept"
            ),
            Number.at(
                f"Cosine with the direction, {most} texts",
                COSINE, result, *rows, place["omp", most], "reconstruction",
            ),
            *lead_numbers(
                result,
                {
                    "directions": "Of the lead, kept by the directions",
                    "of_direction": "Of the directions' lead, kept by the texts",
                },
                "all_neurons",
            ),
        ]),
        [
            Plot(
                f"Recall@1 when the effects of all {every['neurons']:,} neurons are replaced by "
                "projections on their directions' reconstructions from a few texts, those of this "
                "bundle. Dotted: on the directions themselves. Bars: 95 % intervals.",
                _by_texts(every["rows"], "recall@1", RECALL),
            ),
            Plot(
                f"The same for the {some['neurons']:,} strongest neurons alone, with texts chosen "
                "in several ways; all other neurons are left as they are.",
                _by_texts(some["rows"], "recall@1", RECALL),
            ),
            Plot(
                "How near the reconstructions come to those neurons' directions: 1 is the same.",
                _by_texts(some["rows"], "reconstruction", COSINE),
            ),
        ],
    )  # fmt: skip


def _by_texts(rows: Sequence[Result], name: str, scale: Scale) -> Lines:
    """Describe a figure of each way to choose texts, by their number."""
    by_method: dict[str, dict[int, Figure]] = {}
    reference = None
    for row in rows:
        if row["method"] == "direction":
            reference = row[name]["value"]
        else:
            by_method.setdefault(row["method"], {})[row["m"]] = row[name]
    nearest = by_method.pop("nearest", {})
    sizes = sorted({m for found in by_method.values() for m in found} | set(nearest))
    series = []
    for method, found in by_method.items():
        title, tone = CHOICES[method]
        own = {**nearest, **found} if method == "omp" else found
        series.append(Series(title, tone, [own.get(m, NOTHING) for m in sizes]))
    return Lines(series, [str(m) for m in sizes], scale, "texts", reference)


CLAIM = Claim(
    title="A few texts describe the direction",
    sentence="That direction is a sparse sum of texts.",
    rule="Holds if the largest number of texts in the bundle keeps at least 90 % of the recall@1 "
    "that the directions themselves keep (the whole 95 % interval), and chosen texts reconstruct "
    "better than random ones at every number (interval above 0). Partly from 50 % on." + BY_LEAD,
    judge=judge,
    draw=draw,
    measure=Measure("reconstruction", "Cosine of a direction with its first 16 texts", COSINE),
)
