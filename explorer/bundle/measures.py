"""The measures of a neuron: one table that every list, page and file follows.

A measure is a column of the neuron table that says how well or how simply a neuron can be read. To
add one, write its column at the build (`explorer.build.describe`) and its entry here; where it then
stands is its `places`. Bundles that lack the column leave it out.

    card      in one line on a neuron's card and at the head of its page
    hint      where the pointer rests on a neuron of the map
    page      with its meaning on the neuron's page
    list      a way to sort and filter, a column of the table of neurons and of comparisons
    map       a colouring of the map
    export    a column of the table of neurons as a file
    finding   kept with a finding
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from explorer.describe.prediction import LEAST_UNSEEN, UNSEEN, random_precision
from explorer.formats import count, number, probability, share, size

if TYPE_CHECKING:
    from explorer.bundle import Bundle

Place = Literal["card", "hint", "page", "list", "map", "export", "finding"]


@dataclass(frozen=True)
class Chance:
    """Where chance lies on the scale of a measure."""

    value: float
    said: str


@dataclass(frozen=True)
class Measure:
    """One measure of a neuron."""

    key: str
    """Column of the neuron table, and name in addresses."""
    name: str
    short: str
    """Name behind the value, in one line with others."""
    meaning: str
    """One or two sentences: what it is and how to read it."""
    show: Callable[[float], str]
    places: tuple[Place, ...] = ()
    """Where it stands; every measure is in a neuron's JSON."""
    unit: str = ""
    chance: float | Callable[[Bundle], float] | None = None
    """The value that random guessing gives, where it is known."""
    untrained: bool = False
    """Else whether the same model with random weights is the measure's level: its mean, as the
    evidence's section `controls` measured it on this bundle; see docs/chance.md."""

    passes: Literal["", "words_pass", "driven_pass"] = ""
    """Of a p-value: the column that says which neurons pass, at 5 % false discoveries."""

    def chance_in(self, bundle: Bundle) -> Chance | None:
        """Return where chance lies in a bundle, and how to say it; None where it isn't known.

        Of a p-value: up to which value neurons pass, as p = 0.3 beside a chance of 0.5 would look
        like something.
        """
        if self.passes:
            return _passing_level(self.passes, bundle)
        if self.chance is not None:
            value = self.chance(bundle) if callable(self.chance) else self.chance
            return Chance(value, f"chance {self.show(value)}")
        level = _random_weights(self.key, bundle) if self.untrained else None
        return Chance(level, f"untrained {self.show(level)}") if level is not None else None


def _passing_level(column: str, bundle: Bundle) -> Chance | None:
    """Return the largest p-value with which a neuron of the bundle passes.

    Words pass by the larger of two p-values. None for a bundle that was not compared with chance.
    """
    if not bundle.tested:
        return None
    table = bundle.neurons
    p = table[["text_p", "prediction_p"] if column == "words_pass" else ["driven_p"]].max(axis=1)
    level = float(p[table[column].to_numpy(bool)].max())
    if math.isnan(level):
        return Chance(0.0, "no neuron passes")
    return Chance(level, f"passes up to {probability(level)}")


def _random_weights(key: str, bundle: Bundle) -> float | None:
    """Return a measure's mean with random weights; None where it was not measured."""
    controls = bundle.manifest.evidence.get("controls", {}).get("measures", {})
    level = controls.get(key, {}).get("random_weights", {}).get("value")
    return None if level is None else float(level)


def _random_precision(bundle: Bundle) -> float:
    """Return the precision of a random order of as many pictures as words were tested on.

    Half the corpus at most: the second look at it, and half of the sample that the bundle keeps.
    """
    settings: Mapping[str, Any] = bundle.manifest.settings
    images = bundle.manifest.counts["images"]
    looked = max(LEAST_UNSEEN, math.ceil(float(settings.get("unseen", UNSEEN)) * images / 2))
    kept = max(0, images - 2 * looked) * int(settings.get("sample", 0)) / (2 * images)
    return random_precision(max(1, round(min(images / 2, looked + kept))))


TABLE: tuple[Measure, ...] = (
    Measure(
        "prediction",
        "Prediction",
        "predicted",
        "Correlation of its effects on pictures with the score that its words give them; words and "
        "pictures come from different halves of the corpus. Another neuron's words reach 0; texts "
        "that mean nothing may reach more, so it counts only where the words pass.",
        number,
        ("card", "hint", "page", "list", "map", "export", "finding"),
        chance=0.0,
    ),
    Measure(
        "prediction_p",
        "Prediction p-value",
        "p (prediction)",
        "Share of the layer's other neurons whose words predict its effects as well.",
        probability,
        ("page", "list", "export"),
        passes="words_pass",
    ),
    Measure(
        "precision",
        "Precision",
        "precision",
        "Area under the precision-recall curve: how well its words find the 2 % of unseen pictures "
        "with its strongest effects. A random order gives 2 %, more where pictures are few.",
        share,
        ("page", "list", "export"),
        chance=_random_precision,
    ),
    Measure(
        "text_p",
        "Words p-value",
        "p (words)",
        "How often texts describe a random direction of its layer as well. A p-value.",
        probability,
        ("page", "list", "export"),
        passes="words_pass",
    ),
    Measure(
        "driven_p",
        "Drivers p-value",
        "p (drivers)",
        "How often pictures chosen by untrained features share a word as significantly. A p-value.",
        probability,
        ("page", "list", "export"),
        passes="driven_pass",
    ),
    Measure(
        "agreement",
        "Agreement",
        "agreement",
        "Chance that its six heaviest texts rank one of its top pictures above a random one. "
        "50 % is no better than guessing: then don't trust the words.",
        share,
        ("page", "list", "map", "export", "finding"),
        chance=0.5,
    ),
    Measure(
        "polysemy",
        "Polysemy",
        "polysemy",
        "Chance that two draws from its words, or from what drives it, are unrelated; only what is "
        "more than chance counts. 0 is one meaning or none, 0.5 is like two equally strong ones.",
        number,
        ("card", "hint", "page", "list", "map", "export", "finding"),
    ),
    Measure(
        "explained_variance",
        "Explained variance",
        "explained",
        "How much of its strong effects a single direction accounts for. "
        "Random networks have it too, so it is no evidence by itself.",
        share,
        ("page", "list", "map", "export", "finding"),
        untrained=True,
    ),
    Measure(
        "selectivity",
        "Selectivity",
        "selective",
        "Share of its whole squared effect that falls on its few strongest pictures "
        "(2 % unless built otherwise). High means it is silent on most.",
        share,
        ("card", "page", "list", "map", "export", "finding"),
        untrained=True,
    ),
    Measure(
        "reconstruction",
        "Reconstruction",
        "rebuilt",
        "Cosine between its direction and the weighted sum of all its concepts. "
        "1 means the words describe it fully.",
        number,
        ("page", "list", "export"),
    ),
    Measure(
        "label_diversity",
        "Label diversity",
        "diverse",
        "How varied the labels of its top pictures are, read from the labels alone.",
        number,
        ("page", "list", "export"),
    ),
    Measure(
        "image_polysemy",
        "Picture polysemy",
        "in pictures",
        "Polysemy from the top pictures alone: how unrelated they look to the model.",
        number,
        ("list", "export"),
    ),
    Measure(
        "positive_share",
        "Positive share",
        "positive",
        "Share of its significant pictures that it pushes along its direction, not against it.",
        share,
        ("page", "list", "export"),
    ),
    Measure(
        "meanings",
        "Meanings",
        "meanings",
        "Groups of related words, of those it adds or of those that drive it, whichever are "
        "more; only what is more than chance counts.",
        count,
        ("page", "list", "export"),
        unit="meanings",
    ),
    Measure(
        "max_norm",
        "Strongest effect",
        "strongest",
        "Largest effect norm over all pictures, in units of the model's output "
        "before normalisation.",
        size,
        ("page", "list", "map", "export"),
        unit="model output",
    ),
    Measure(
        "scale",
        "Typical effect",
        "typical",
        "Root mean square of its effect norm over all pictures, in the same units.",
        size,
        ("list", "export"),
        unit="model output",
    ),
    Measure(
        "concept_polysemy",
        "Concept polysemy",
        "in concepts",
        "Polysemy from the concepts alone: how unrelated its texts are.",
        number,
    ),
    Measure(
        "threshold",
        "Threshold",
        "threshold",
        "Smallest effect norm of its significant pictures, which its direction was computed from.",
        size,
        unit="model output",
    ),
)


def measures_of(place: Place) -> tuple[Measure, ...]:
    """Return the measures that stand at a place, in the table's order."""
    return tuple(measure for measure in TABLE if place in measure.places)


def keys_of(place: Place) -> tuple[str, ...]:
    """Return their keys."""
    return tuple(measure.key for measure in measures_of(place))
