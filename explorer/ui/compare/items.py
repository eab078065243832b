"""What is compared: a neuron, or its pair with a head, and what can be asked of either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from explorer.bundle.facts import relative_effects
from explorer.bundle.meaning import told_words
from explorer.bundle.pair_directions import pair_directions
from explorer.bundle.pairs import Head, Pair, pair_at, place_of
from explorer.ui.address.pin import Pin
from explorer.ui.core import glossary
from explorer.ui.data.grouping import POSITIVE, strongest
from explorer.ui.data.loaders import View
from explorer.ui.html.cards import card
from explorer.ui.html.pair_cards import pair_card
from explorer.ui.widgets.picture_choice import ChosenPicture


@dataclass(frozen=True, eq=False)
class Item:
    """A neuron, or one of its pairs."""

    view: View
    row: int
    pair: Pair | None = None

    @property
    def head(self) -> Head | None:
        """Return block and number of the pair's head."""
        return self.pair.key if self.pair else None

    @property
    def name(self) -> str:
        """Return its name, the same everywhere."""
        return glossary.neuron_name(*self.view.place(self.row), self.head)

    @property
    def short(self) -> str:
        """Return its name where there is little room."""
        return glossary.short_name(*self.view.place(self.row), self.head)

    @property
    def card(self) -> Markup:
        """Show it in brief."""
        if self.pair is None:
            return card(self.view, self.row)
        return pair_card(self.view, self.row, self.pair)

    @property
    def direction(self) -> NDArray[np.float32]:
        """Return its direction, [embed], unit norm; 0 for a dead neuron."""
        bundle = self.view.bundle
        if self.pair is not None:
            return pair_directions(bundle).vector(self.row, self.pair.place)
        direction = np.asarray(bundle.directions[self.row], np.float32)
        norm = np.linalg.norm(direction)
        return np.asarray(direction / norm if norm > 0 else direction, np.float32)

    @property
    def texts(self) -> dict[str, float]:
        """Return its sparse set: text -> weight, heaviest first."""
        if self.pair is None:
            return weights_of(self.view, self.row)
        return _heaviest(self.pair.texts)

    @property
    def told(self) -> dict[str, float]:
        """Return those of its texts that are more than chance, with weights of these alone."""
        if self.pair is None:
            return _heaviest(told_words(self.view.bundle, self.row))
        return _heaviest(self.pair.texts[: self.pair.words])

    def pictures(self, most: int, end: int) -> list[int]:
        """Return its strongest pictures of one end; a bundle has none of a pair's negative end."""
        if self.pair is None:
            return strongest(self.view, self.row, most, end)
        return [shown.image for shown in self.pair.images[:most]] if end == POSITIVE else []

    def effect(self, chosen: ChosenPicture) -> tuple[float, float]:
        """Return a picture's effect along the direction, and that ÷ the typical effect.

        Raises:
            InputError: when the picture cannot be read, or the model cannot be loaded.
        """
        if self.pair is None:
            effects = chosen.effects(self.view)
            relative = relative_effects(self.view.bundle, effects)
            return float(effects[self.row]), float(relative[self.row])
        number = pair_directions(self.view.bundle).number(self.row, self.pair.place)
        effect = float(chosen.pair_effects(self.view)[number])
        return effect, effect / self.pair.scale if self.pair.scale > 0 else 0.0


def item_of(view: View, pin: Pin) -> Item:
    """Return what is pinned; the pins of a page are known to the bundle (`pins.settle`)."""
    row = view.bundle.row(*pin.place)
    place = None if pin.head is None else place_of(view.bundle, row, pin.head)
    return Item(view, row, None if place is None else pair_at(view.bundle, row, place))


def weights_of(view: View, row: int) -> dict[str, float]:
    """Return a neuron's sparse set: text -> weight, heaviest first."""
    ids = np.asarray(view.bundle.concept_ids[row])
    weights = np.asarray(view.bundle.concept_weights[row], np.float32)
    pairs = zip(ids, weights, strict=True)
    return _heaviest([(view.bundle.texts[int(i)], float(w)) for i, w in pairs if i >= 0 and w])


def _heaviest(texts: Sequence[tuple[str, float]]) -> dict[str, float]:
    return dict(sorted(texts, key=lambda pair: -abs(pair[1])))
