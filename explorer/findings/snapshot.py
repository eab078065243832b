"""What an export shows of a finding: everything read from the bundle, nothing drawn yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from explorer.bundle import Bundle
from explorer.bundle.facts import concepts_of, images_of
from explorer.bundle.meaning import Title, fitted, passing, title_of
from explorer.bundle.measures import keys_of
from explorer.bundle.pictures import picture_kind
from explorer.errors import InputError
from explorer.findings.model import BundleRef, Finding, SavedFinding
from explorer.palette import CLUSTER_COLOURS

PICTURES = 12  # of a neuron
BARS = 16
REST = len(CLUSTER_COLOURS) - 1
LEAST_SHARE = 0.02  # of the squared weights, for a colour of a cluster's own
MEASURES = keys_of("finding")

Heatmaps = Callable[[Finding], Sequence[tuple[str, bytes]]]
"""A finding about a picture -> captions and PNG files to show below it."""


@dataclass(frozen=True)
class Shot:
    """One encoded picture and what stands below it."""

    caption: str
    data: bytes
    effect: float | None = None

    @property
    def kind(self) -> str:
        """The format, by the first bytes: `webp`, `png` or `jpeg`."""
        return picture_kind(self.data)


@dataclass(frozen=True)
class Bar:
    """One concept of a neuron; `colour` is its cluster's place in `CLUSTER_COLOURS`."""

    text: str
    weight: float
    colour: int


@dataclass(frozen=True)
class NeuronShot:
    """What a neuron's page shows first; texts heaviest first."""

    layer: int
    neuron: int
    title: Title
    measures: Mapping[str, float]
    bars: tuple[Bar, ...]
    """Words that beat chance; all texts where the bundle was not tested."""
    further: tuple[Bar, ...]
    """Further texts of the decomposition, which are no better than chance."""
    pictures: tuple[Shot, ...]


@dataclass(frozen=True)
class Snapshot:
    """A finding with all that an export draws.

    `missing` says why some of it is not here; `bundled` whether its bundle is.
    """

    saved: SavedFinding
    neurons: tuple[NeuronShot, ...] = ()
    pictures: tuple[Shot, ...] = ()
    missing: str = ""
    bundled: bool = True

    @property
    def shots(self) -> list[Shot]:
        """All pictures, in order."""
        return [*self.pictures, *(shot for neuron in self.neurons for shot in neuron.pictures)]


def reference(bundle: Bundle) -> BundleRef:
    """Return how findings name a bundle."""
    return BundleRef(bundle.name, bundle.manifest.identity)


def take(saved: SavedFinding, bundle: Bundle | None, heatmaps: Heatmaps | None = None) -> Snapshot:
    """Read what a finding is about from its bundle; without it the snapshot says so."""
    content = saved.content
    if bundle is None:
        missing = absence(content.bundle)
        return Snapshot(saved, pictures=_copy(content), missing=missing, bundled=False)
    try:
        check_against(content, bundle)
    except InputError as error:
        return Snapshot(saved, missing=str(error), bundled=False)
    if not content.neurons:
        pictures, missing = list(_copy(content)), ""
        if content.image is not None:
            pictures.append(picture(bundle, content.image))
        try:
            pictures += [Shot(*drawn) for drawn in heatmaps(content)] if heatmaps else []
        except InputError as error:
            missing = str(error)
        return Snapshot(saved, pictures=tuple(pictures), missing=missing)
    return Snapshot(
        saved, tuple(neuron_shot(bundle, ref.layer, ref.neuron) for ref in content.neurons)
    )


def _copy(content: Finding) -> tuple[Shot, ...]:
    return (Shot("The picture", content.copy),) if content.copy else ()


def absence(wanted: BundleRef) -> str:
    """Say that a finding's bundle is not here."""
    return (
        f"The bundle “{wanted.name}” (digest {wanted.digest[:12]}…) that this finding was made "
        "with is not here, so its neurons and pictures cannot be shown."
    )


def check_against(finding: Finding, bundle: Bundle) -> None:
    """Check that a bundle is the finding's and has what the finding is about.

    Raises:
        InputError: when it is not, with the reason.
    """
    mine = reference(bundle)
    if finding.bundle.digest != mine.digest:
        raise InputError(
            f"The finding “{finding.title}” was made with another bundle than “{mine.name}” here: "
            f"its digest is {finding.bundle.digest[:12]}…, this one's {mine.digest[:12]}…, so its "
            "neurons may mean something else."
        )
    for ref in finding.neurons:
        bundle.row(ref.layer, ref.neuron)
    pictures = len(bundle.pictures.table)
    if finding.image is not None and finding.image >= pictures:
        raise InputError(f"There is no picture {finding.image}; choose 0 to {pictures - 1}.")


def picture(bundle: Bundle, number: int) -> Shot:
    """Return a picture of the bundle under its label."""
    record = bundle.pictures.table.iloc[number]
    return Shot(str(record["label"] or record["name"] or "unlabelled"), encoded(bundle, number))


def encoded(bundle: Bundle, number: int) -> bytes:
    """Return a picture's file as the store holds it."""
    return bytes(bundle.pictures.encoded(number))


def neuron_shot(
    bundle: Bundle, layer: int, neuron: int, pictures: int = PICTURES, bars: int = BARS
) -> NeuronShot:
    """Read a neuron's heaviest concepts and strongest pictures.

    Raises:
        InputError: when the bundle has no such neuron.
    """
    row = bundle.row(layer, neuron)
    record = bundle.neurons.iloc[row]
    told, further = _texts(bundle, row)
    shots = [
        Shot(found["label"] or "unlabelled", encoded(bundle, found["image"]), found["effect"])
        for found in images_of(bundle, row, "positive", pictures)
    ]
    return NeuronShot(
        int(layer),
        int(neuron),
        title_of(bundle, row),
        {name: float(record[name]) for name in MEASURES if name in record},
        told[:bars],
        further[:bars],
        tuple(shots),
    )


def _texts(bundle: Bundle, row: int) -> tuple[tuple[Bar, ...], tuple[Bar, ...]]:
    """Return the words that beat chance, with weights fitted to them alone, and further texts."""
    every = coloured(concepts_of(bundle, row))
    if not bundle.tested:
        return every, ()
    count = int(passing(bundle).counts[row])
    texts = [bundle.texts[int(text)] for text in bundle.concept_ids[row, :count]]
    weights = dict(zip(texts, fitted(bundle, row, count), strict=True)) if count else {}
    told = [replace(bar, weight=float(weights[bar.text])) for bar in every if bar.text in weights]
    told.sort(key=lambda bar: -abs(bar.weight))
    return tuple(told), tuple(bar for bar in every if bar.text not in weights)


def coloured(concepts: Sequence[Mapping[str, Any]]) -> tuple[Bar, ...]:
    """Give each concept its cluster's colour: clusters by falling share of the squared weights.

    Args:
        concepts: text, weight and cluster of each, heaviest first; cluster -1 stands alone.
    """
    used = [concept for concept in concepts if concept["weight"]]
    total = sum(concept["weight"] ** 2 for concept in used) or 1.0
    shares: dict[Any, float] = {}
    for concept in used:
        key = _cluster(concept)
        shares[key] = shares.get(key, 0.0) + concept["weight"] ** 2 / total
    order = sorted(shares, key=lambda key: -shares[key])
    places = {
        key: place if place < REST and shares[key] >= LEAST_SHARE else REST
        for place, key in enumerate(order)
    }
    return tuple(Bar(c["text"], float(c["weight"]), places[_cluster(c)]) for c in used)


def _cluster(concept: Mapping[str, Any]) -> Any:
    return concept["cluster"] if concept["cluster"] >= 0 else concept["text"]
