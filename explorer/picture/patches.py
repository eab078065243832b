"""What is strongest at each patch of a picture: concepts and neurons.

Concepts are ranked by their refined share there (`explorer.picture.maps.concept_maps`), as texts in
the sparse sets of the picture's significant neurons; near ones are named once. Neurons are
ranked by the size of their own share there, along their own direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.bundle import Bundle
from explorer.picture.discover import join_near, named_texts, neuron_maps, significant_rows
from explorer.picture.maps import concept_maps
from explorer.picture.reading import Reading

NAMED = 3


@dataclass(frozen=True)
class Patch:
    """One patch; both lists are strongest first and may be empty."""

    concepts: tuple[tuple[str, float], ...]
    """(text, share), shares above 0; units of the output before normalisation."""
    neurons: tuple[tuple[int, float], ...]
    """(the bundle's row, share along the neuron's own direction)."""


def strongest_at_patches(
    bundle: Bundle, reading: Reading, image: int = 0, top: int = NAMED
) -> list[list[Patch]]:
    """Return the `top` concepts and neurons of every patch of one image: [row][column].

    Only the image's significant neurons count, and the texts that name them.
    """
    rows = significant_rows(bundle, reading.effects[image])
    grid = reading.lens_model.grid
    if not rows:
        return [[Patch((), ())] * grid[1]] * grid[0]
    named = named_texts(bundle, rows)
    atoms = reading.lens_model.dictionary[named]
    texts = concept_maps(reading, atoms, image).numpy()  # [text, patch]
    shares = neuron_maps(bundle, reading, rows, image).flatten(1).numpy()  # [neuron, patch]
    directions = atoms.numpy()
    strongest = np.argsort(-np.abs(shares), axis=0, kind="stable")[:top]

    def patch(place: int) -> Patch:
        groups = join_near(directions, texts[:, place], top)
        return Patch(
            tuple((bundle.texts[named[best]], float(texts[best, place])) for best, _ in groups),
            tuple((rows[n], float(shares[n, place])) for n in strongest[:, place]),
        )

    return [[patch(row * grid[1] + column) for column in range(grid[1])] for row in range(grid[0])]
