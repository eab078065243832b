"""Texts compete for every patch, for pictures that show several things.

A patch that shows a boat also drives neurons of "water" and "car", so a map of "car" alone lights
there too. Here the asked text has to fit a patch better than the dictionary's other texts. With
`A` the affinity of patches, `v` their second-order vectors and `m` the mean activation of the
neurons aligned with the text, its lowest patch at 0:

    fit[x, t]  = cos((A v)[t], d_x) / TEMPERATURE
    won[x, t]  = exp(fit[x, t]) / (exp(fit[x, t]) + sum over the others y of exp(fit[y, t]))
    map[x, t]  = m[x, t] won[x, t]

The others are texts whose cosine with the asked one is below `RELATED`: a synonym takes nothing
away. A map does not depend on what else is asked.

Where texts are to be told from one another by name (`explorer.picture.discover`, `presence`) they
compete with all of the dictionary, the synonyms too, and at a lower temperature. Constants were
chosen on calibration scenes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from explorer.kept import kept
from explorer.picture.maps import activation, concept_maps, spread_vectors
from explorer.picture.reading import Reading
from explorer.picture.settings import MapSettings

TEMPERATURE = 0.15  # cosine
NAMING_TEMPERATURE = 0.06  # cosine
RELATED = 0.6  # cosine between texts, from which they do not compete
AT_ONCE = 4096  # texts


@torch.no_grad()
def competing(reading: Reading, directions: Tensor, settings: MapSettings) -> Tensor:
    """Return the aligned neurons' activations where a text wins: [image, text, patch].

    `directions` is [text, embed]. Nowhere negative; 0 means that nothing speaks for the text.
    Without a dictionary every text wins everywhere.

    Raises:
        InputError: when the model was not opened with a layer.
    """
    active = activation(reading, directions, settings)
    return (active - active.amin(dim=2, keepdim=True)) * won(reading, directions, settings)


@torch.no_grad()
def won(reading: Reading, directions: Tensor, settings: MapSettings) -> Tensor:
    """Return the share of each patch that texts win, from 0 to 1: [image, text, patch].

    Raises:
        InputError: when the model was not opened with a layer.
    """
    vectors = functional.normalize(spread_vectors(reading, settings).float(), dim=2)
    directions = functional.normalize(directions.to(vectors), dim=1)
    own = _fits(vectors, directions, TEMPERATURE)
    others = torch.full_like(own, -torch.inf)
    for texts in reading.lens_model.dictionary.split(AT_ONCE):
        some = texts.to(vectors)
        fits = _fits(vectors, some, TEMPERATURE)
        for place, cosines in enumerate(directions @ some.T):
            rivals = fits[:, cosines < RELATED].logsumexp(dim=1)
            others[:, place] = torch.logaddexp(others[:, place], rivals)
    return torch.sigmoid(own - others)


@torch.no_grad()
def named_shares(reading: Reading, directions: Tensor, image: int = 0) -> Tensor:
    """Return texts' refined shares, times what each wins from the dictionary: [text, patch].

    `directions` are rows of `LensModel.dictionary`, of which all together win each patch once, or
    any others [text, embed], unit norm. The neurons are those of `LensModel.later_layers`.
    """
    vectors = spread_vectors(reading)[image : image + 1]
    vectors = functional.normalize(vectors.float(), dim=2)
    whole = kept(reading, f"dictionary's fits {image}", lambda: _dictionary_fits(reading, vectors))
    own = _fits(vectors, directions.to(vectors), NAMING_TEMPERATURE)[0]
    return concept_maps(reading, directions, image) * torch.exp(own - whole).cpu()


def _dictionary_fits(reading: Reading, vectors: Tensor) -> Tensor:
    """Return the logarithm of the sum over the dictionary that names share: [patch].

    `vectors` is [1, patch, embed], unit norm.
    """
    parts = [
        _fits(vectors, texts.to(vectors), NAMING_TEMPERATURE).logsumexp(dim=1)
        for texts in reading.lens_model.dictionary.split(AT_ONCE)
    ]
    return torch.cat(parts).logsumexp(dim=0)


def _fits(vectors: Tensor, directions: Tensor, temperature: float) -> Tensor:
    """Return [image, text, patch] of [image, patch, embed] and [text, embed], unit norms."""
    return torch.einsum("ipe,xe->ixp", vectors, directions) / temperature  # x: text
