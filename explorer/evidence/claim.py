"""What a claim is: the paper's words in ours, the rule of its verdict, its checks, its plots.

All of it is pure: functions of a section's result in today's shape (`stored`), which import no
torch. The paper's claims are about OpenAI's CLIP models; a verdict says whether they hold on the
model of this bundle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.evidence.drawing import Number, Scale, Shown, percent
from explorer.evidence.figures import Figure, is_above, is_positive, reaches, value_of

HOLDS, PARTLY, FAILS = "holds", "partly", "doesn't hold"
MOST, HALF = 0.9, 0.5  # shares from which a claim holds, and holds partly
PICTOGRAMS = ("pictogram, single", "pictogram, multiple")
"""The scenes on which maps and discovery are judged: of a style the model never saw."""
LEAD = percent("of what the effects add to the lead")
BY_LEAD = (
    " Where ablation costs no recall@1, or too little to divide, the same is asked of what the "
    "effects add to the right answer's lead (its logit less the candidates' mean), and the answer "
    "is partly at most."
)
ORACLE = (
    "Checked on a small model with random weights, where every effect can be formed and every "
    "ablation done by a hook: sums, norms, masks, projections and recomputations agree; effects "
    "agree with reference numbers of the code released with the paper."
)

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """Whether a claim holds, and why."""

    outcome: str
    """`HOLDS`, `PARTLY` or `FAILS`."""
    because: str
    """One sentence with the figures that decided."""


@dataclass(frozen=True)
class Measure:
    """What a claim speaks of, as the section `controls` measures it of a random tower too."""

    key: str
    """Its name among the `measures` of the section's result."""
    name: str
    scale: Scale


@dataclass(frozen=True)
class Claim:
    """One claim of the paper, in our own words."""

    title: str
    sentence: str
    rule: str
    """The rule that `judge` follows, in words."""
    judge: Callable[[Result], Verdict]
    draw: Callable[[Result], Shown]
    explain: Callable[[Result], Sequence[str]] | None = None
    """Why it may not hold, and what was checked to rule out a fault of ours.

    A sentence is there only if its figures say so; every number in it is one of the result's.
    """
    measure: Measure | None = None
    """What must be larger than with random weights for the claim to hold."""


def by_share(share: Figure, sentence: str) -> Verdict:
    """Judge a share that has to be most; `sentence` has a place for it."""
    return Verdict(outcome_of(share), sentence.format(in_percent(share)))


def outcome_of(share: Figure) -> str:
    """Return the outcome of a share that has to be most, by its whole interval."""
    return HOLDS if reaches(share, MOST) else PARTLY if reaches(share, HALF) else FAILS


def has_share(drop: Figure, share: Figure) -> bool:
    """Return whether a share of what ablation costs says anything: the cost is not near 0.

    A share has no interval where the cost is 0 or less in some resample.
    """
    return is_positive(drop) and share["interval"] is not None


def by_lead(drop: Figure, lead: Result | None, judge: Callable[[Result], Verdict]) -> Verdict:
    """Judge by the right answer's lead where ablating the effects costs (almost) no recall.

    `lead` has what the effects add to it as "carried"; `judge` judges what is kept of that. A model
    that answers without these effects shows a claim partly at most.
    """
    spared = (
        f"recall@1 falls by {in_points(drop)} points when all are mean-ablated, "
        f"{'too little to divide' if is_positive(drop) else 'indistinguishable from 0'}"
    )
    if lead is None or not is_positive(lead["carried"]):
        return Verdict(FAILS, f"there is nothing to keep: {spared}.")
    found = judge(lead)
    outcome = FAILS if found.outcome == FAILS else PARTLY
    return Verdict(outcome, f"{found.because.removesuffix('.')} ({spared}).")


def lead_numbers(result: Result, names: Mapping[str, str], *path: str) -> list[Number]:
    """Return the headline figures of the lead at a path by {key: name}; none in older results."""
    part = result
    for step in path:
        part = part.get(step, {})
    if "lead" not in part:
        return []
    return [Number.at(name, LEAD, result, *path, "lead", key) for key, name in names.items()]


def measurable(numbers: Sequence[Number]) -> list[Number]:
    """Leave out shares of what is too little to divide: they have no interval."""
    return [number for number in numbers if number.figure["interval"] is not None]


def layers_said(rows: Sequence[Result], name: str, written: Callable[[Figure], str]) -> list[str]:
    """Say between which layers a figure differs most; nothing where their intervals meet."""
    known = [row for row in rows if row[name]["interval"]]
    if not known:
        return []
    least, most = (end(known, key=lambda row: value_of(row[name])) for end in (min, max))
    if not is_above(most[name], least[name]):
        return []
    ends = (f"{written(row[name])} in layer {row['layer']}" for row in (least, most))
    return [f"Layers differ: {', '.join(ends)}."]


def in_points(figure: Figure) -> str:
    """Write a difference of shares in points."""
    return f"{100 * value_of(figure):.1f}"


def in_percent(figure: Figure) -> str:
    """Write a share in percent."""
    return f"{100 * value_of(figure):.1f} %"


def number(figure: Figure) -> str:
    """Write a figure's value, such as a correlation, without a unit."""
    return plain(value_of(figure))


def plain(value: float) -> str:
    """Write a number with three digits; what rounds to 0 has no sign."""
    return f"{round(value, 3) + 0.0:.3f}".replace("-", "−")
