"""Baselines of claim 6: what labels can tell of effects, and whether the measure would see it.

A description that predicts nothing may be the neuron's doing or the measure's. So the same measure
(Pearson correlation over evaluation pictures, per neuron) is taken of what is known:

- *planted*: neurons whose effect is, by construction, what their direction says: the product of the
  picture's own output with the direction. Their descriptions and the pictures' labels are the real
  ones, so that this is what the dictionary, the label embeddings and the unseen style let through.
  With another neuron's description: what a measure that sees patterns everywhere would find.
- *fitted*: a linear map from label atoms to effects (ridge regression; its strength by generalised
  cross-validation) on the corpus sample, tested on the evaluation pictures. How much labels tell
  of the real effects, whatever the directions are.
- *top_labels*: no fit, the labels of the build's strongest pictures, summed by their effects.
- *output*: the picture's own output in place of its label. What labels alone might miss.
- *corpus*: the description on the sample of the corpus in place of the unseen style.
- *strong*: only neurons whose own texts tell their pictures best (`explorer.describe.agreement`).
- *alignment*: cosine of a neuron's direction, where its effect points, with its fitted label
  direction, what it responds to.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.evidence.context import Context
from explorer.evidence.figures import figure
from explorer.evidence.measures.metrics import pearson
from explorer.lens.models import encode_texts

STRENGTHS = (1.0, 10.0, 100.0, 1000.0)  # of the ridge
LEAST_AGREEMENTS = (0.5, 0.7, 0.9)
CHUNK = 1024
Rows = NDArray[np.float32]


def measure_baselines(
    context: Context, effects: np.ndarray, alive: np.ndarray, described: Rows, other: np.ndarray
) -> dict[str, Any]:
    """Return the baselines' figures over neurons.

    `effects` [image, neuron of the bundle] signed; `alive`: the rows of the neurons; their
    `described` [neuron, embed] and which `other` neuron's description is the control [neuron].
    """
    seed, labels = context.settings.seed, context.label_atoms
    measured = effects[:, alive]
    directions = np.array(context.bundle.directions, np.float32)[alive]
    outputs = context.record("effects")["representation"] - context.bundle.mean_representation
    planted = Products(outputs, directions)
    own = correlations(measured, Products(labels, described))
    layers = context.bundle.neurons["layer"].to_numpy()[alive]
    found = {
        "planted": correlations(planted, Products(labels, described)),
        "planted_other_neuron": correlations(planted, Products(labels, described[other])),
        "output": correlations(measured, planted),
        **_corpus(context, measured, alive, described, directions),
    }
    agreement = context.bundle.neurons["agreement"].to_numpy()[alive]
    return {
        **{name: figure(values, seed) for name, values in found.items()},
        "strong": [
            {"agreement": least, "pearson": figure(own[agreement >= least], seed)}
            for least in LEAST_AGREEMENTS
        ],
        "layers": [
            {"layer": layer} | {name: figure(v[layers == layer], seed) for name, v in found.items()}
            for layer in context.layers
        ],
    }


def _corpus(
    context: Context, measured: np.ndarray, alive: np.ndarray, described: Rows, directions: Rows
) -> dict[str, np.ndarray]:
    """Return the controls that need labels of corpus pictures; NaN where these have none."""
    names = context.bundle.pictures.table["label"].astype(str).to_numpy()
    corpus = names[: context.bundle.pictures.corpus_size]
    kinds = sorted(set(corpus) - {""})
    if len(kinds) < 2:
        nothing = np.full(len(alive), np.nan)
        return dict.fromkeys(("fitted", "top_labels", "corpus", "alignment"), nothing)
    atoms = context.bundle.dictionary.centre(encode_texts(context.loaded, kinds).numpy())
    places = np.searchsorted(kinds, np.where(corpus == "", kinds[0], corpus))
    table = np.where((corpus == "")[:, None], 0, atoms[places]).astype(np.float32)
    sample, signed = context.reference.images, context.reference.signed[:, alive]
    named = corpus[sample] != ""
    known = table[sample][named]
    fitted = label_directions(known, signed[named])
    return {
        "fitted": correlations(measured, Products(context.label_atoms, fitted)),
        "top_labels": correlations(
            measured, Products(context.label_atoms, top_label_sums(context, alive, table))
        ),
        "corpus": correlations(signed[named], Products(known, described)),
        "alignment": _cosines(fitted, directions),
    }


def label_directions(labels: Rows, effects: np.ndarray) -> Rows:
    """Return the label direction that predicts each neuron's effects best: [neuron, embed].

    Ridge regression of `effects` [image, neuron] on `labels` [image, embed], one strength for
    every `CHUNK` of neurons.
    """
    from sklearn.linear_model import RidgeCV

    parts = []
    for start in range(0, effects.shape[1], CHUNK):
        part = effects[:, start : start + CHUNK].astype(np.float64)
        parts.append(RidgeCV(STRENGTHS).fit(labels.astype(np.float64), part).coef_)
    return np.concatenate(parts).astype(np.float32)


def top_label_sums(context: Context, alive: np.ndarray, table: Rows) -> Rows:
    """Return the labels of each neuron's strongest pictures, summed by effect: [neuron, embed].

    `table` [image, embed]: each corpus picture's label.
    """
    bundle = context.bundle
    sums = np.zeros((len(alive), table.shape[1]), np.float32)
    for start in range(0, len(alive), CHUNK // 4):
        rows = alive[start : start + CHUNK // 4]
        ids = np.asarray(bundle.top_images[rows])
        weights = np.where(ids >= 0, np.asarray(bundle.top_effects[rows], np.float32), 0)
        sums[start : start + len(rows)] = np.einsum("nep,nepd->nd", weights, table[ids.clip(0)])
    return sums


class Products:
    """Products of pictures' vectors with neurons', formed a chunk of neurons at a time."""

    def __init__(self, pictures: np.ndarray, vectors: Rows) -> None:
        """Keep `pictures` [image, embed] and `vectors` [neuron, embed]."""
        self.pictures, self.vectors = pictures, vectors
        self.shape = (len(pictures), len(vectors))

    def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
        """Return a block of [image, neuron]."""
        images, neurons = key
        product: np.ndarray = self.pictures[images] @ self.vectors[neurons].T
        return product


def correlations(effects: np.ndarray | Products, predicted: np.ndarray | Products) -> np.ndarray:
    """Return the Pearson correlation of each neuron: [neuron]; both are [image, neuron]."""
    parts = []
    for start in range(0, effects.shape[1], CHUNK):
        part = (slice(None), slice(start, start + CHUNK))
        parts.append(pearson(effects[part].astype(np.float32), predicted[part]))
    return np.concatenate(parts)


def _cosines(one: Rows, other: Rows) -> np.ndarray:
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    products = np.einsum("ne,ne->n", one, other)
    cosines = np.zeros(len(norms))
    np.divide(products, norms, out=cosines, where=norms > 0)
    return cosines
