"""The ways to make a heatmap: one entry each.

An entry is all there is to add: pages, the command line and the evidence read `METHODS`. No torch
is imported before a method's maps are made, so pages that only name methods load none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from explorer.errors import InputError
from explorer.picture.settings import SECOND_ORDER, MapSettings

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.picture.reading import Reading

MapFunction: TypeAlias = "Callable[[Reading, Tensor, MapSettings], Tensor]"
"""(reading, directions [text, embed], settings) -> maps [image, text, patch]."""


OUTPUT = "units of the model's output before normalisation"


@dataclass(frozen=True)
class Method:
    """A way to make heatmaps."""

    name: str
    """As addresses, the command line and the evidence carry it."""
    title: str
    """As people read it."""
    about: str
    """One sentence: what a map shows, and whose method it is."""
    maps: MapFunction
    unit: str = "units of the method's own"
    """What its values are measured in."""
    reads_neurons: bool = False
    """Whether it goes by the neurons' second-order effects, as the lens does."""
    reads_text: bool = True
    """Whether two texts have different maps."""
    zero_means_nothing: bool = True
    """Whether a patch at 0 says nothing for the text; else the lowest patch is taken for 0."""
    measured_fine: bool = False
    """Whether the evidence measures it with `MapSettings.fine` too, at four passes."""


def find_method(name: str) -> Method:
    """Return the method of a name.

    Raises:
        InputError: when there is none.
    """
    if name not in METHODS:
        raise InputError(f"There is no heatmap method {name!r}: choose among {', '.join(METHODS)}.")
    return METHODS[name]


def _maps(function: str) -> MapFunction:
    """Return a function of `explorer.picture.maps`, imported when maps are first made."""

    def make(reading: Reading, directions: Tensor, settings: MapSettings) -> Tensor:
        from explorer.picture import maps

        found: MapFunction = getattr(maps, function)
        return found(reading, directions, settings)

    return make


def _pairs(reading: Reading, directions: Tensor, settings: MapSettings) -> Tensor:
    from explorer.picture.pair_maps import aligned_pairs

    return aligned_pairs(reading, directions, settings)


def _competing(reading: Reading, directions: Tensor, settings: MapSettings) -> Tensor:
    from explorer.picture.competition import competing

    return competing(reading, directions, settings)


def _rival(function: str) -> MapFunction:
    """Return a function of `explorer.picture.rivals`, which reads the explained pass alone."""

    def make(reading: Reading, directions: Tensor, settings: MapSettings) -> Tensor:
        from explorer.picture import rivals

        maps: Tensor = getattr(rivals, function)(
            reading.explained, directions.to(reading.lens_model.loaded.device)
        )
        return maps

    return make


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            SECOND_ORDER,
            "Second-order effects",
            "Each patch's share of what the neurons add along the text through later attention "
            "(Gandelsman et al. 2024).",
            _maps("second_order"),
            unit=OUTPUT,
            reads_neurons=True,
            measured_fine=True,
        ),
        Method(
            "activation",
            "Activations of aligned neurons",
            "The mean activation of the neurons whose directions align most with the text "
            "(Gandelsman et al. 2024).",
            _maps("activation"),
            unit="mean activations",
            reads_neurons=True,
            zero_means_nothing=False,
        ),
        Method(
            "competing",
            "Competing texts",
            "The activations of aligned neurons, where a patch's second-order effects fit the text "
            "better than the dictionary's other texts. A broad word, such as “animal”, loses to "
            "its kinds.",
            _competing,
            unit="mean activations, times the share of the patch that the text wins",
            reads_neurons=True,
            measured_fine=True,
        ),
        Method(
            "pairs",
            "Aligned neuron–head pairs",
            "Each patch's share of what the neuron–head pairs add whose directions align most with "
            "the text (after Bu and Gandelsman 2025).",
            _pairs,
            unit=OUTPUT,
            reads_neurons=True,
        ),
        Method(
            "attention",
            "Attention of the last layer",
            "The class token's attention in the last block, mean over heads.",
            _rival("attention"),
            reads_text=False,
        ),
        Method(
            "rollout",
            "Attention rollout",
            "The product over blocks of half the identity and half the mean attention (Abnar and "
            "Zuidema 2020).",
            _rival("rollout"),
            reads_text=False,
        ),
        Method(
            "grad-cam",
            "Grad-CAM",
            "What the last attention block reads, weighted by its mean gradient (Selvaraju et al. "
            "2017).",
            _rival("grad_cam"),
        ),
        Method(
            "relevance",
            "Relevance (Chefer et al.)",
            "Gradient-weighted attention through all blocks (Chefer, Gur and Wolf 2021).",
            _rival("relevance"),
        ),
        Method(
            "legrad",
            "LeGrad",
            "The gradient with respect to attention in the last blocks (Bousselham et al. 2024).",
            _rival("legrad"),
        ),
        Method(
            "textspan",
            "Attention heads (TextSpan)",
            "The tokens' direct contributions through all attention heads (Gandelsman et al. "
            "2024).",
            _rival("textspan"),
            unit=OUTPUT,
            measured_fine=True,
        ),
    )
}
