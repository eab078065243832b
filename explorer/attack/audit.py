"""Why a picture was taken for the wrong class, and what mending those neurons would give.

The reverse of `explorer.attack.concepts`. For a picture, the class it shows and the class it is
taken for:

1. A neuron's *push* is its centred second-order effect on the picture along its own direction,
   times the direction's cosine with the difference of the two texts, wrong minus right.
2. The neurons that push most are mean-ablated: their activations are replaced, at every token, by
   the mean over a sample of the corpus, and the forward pass is run anew, so everything after
   them is recomputed.
3. Concepts responsible: what the pushing neurons' sparse sets say, weighted by push, for texts
   that are close to neither class.

Axes: neuron (by bundle row), token, text, embed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from explorer.attack.closeness import Closeness, Floats, closeness
from explorer.attack.separation import label_scores, pooled_scores
from explorer.attack.vocabulary import vocabulary
from explorer.bundle import Bundle
from explorer.bundle.originals import whole_picture
from explorer.errors import InputError
from explorer.kept import kept
from explorer.lens import trace
from explorer.lens.interventions import ablating
from explorer.lens.weights import visual_of
from explorer.picture.model import LensModel, open_lens_model
from explorer.picture.reading import read
from explorer.pixels import to_rgb

SAMPLE = 48  # pictures whose mean activations stand in for an ablated neuron's
STEPS = (1, 2, 5, 10, 20, 50, 100, 200)
"""Numbers of neurons that are tried until the prediction is right."""
BATCH = 16


@dataclass(frozen=True)
class Pusher:
    """A neuron that moved the picture towards the wrong class."""

    layer: int
    neuron: int
    effect: float
    """Along its own direction, less its mean; units of the output."""
    push: float
    """The part of it along the difference of the two classes."""
    concepts: str


@dataclass(frozen=True)
class Audit:
    """Why a picture is taken for one class rather than another."""

    right: str
    wrong: str
    before: tuple[float, float]
    """Cosines of the picture with right and wrong."""
    after: tuple[float, float]
    """The same with `ablated` neurons at their mean."""
    ablated: int
    neurons: tuple[Pusher, ...]
    """Those ablated, largest push first."""
    concepts: tuple[tuple[str, float], ...]
    """(concept, what the pushing neurons' sets say for it), strongest first."""

    @property
    def corrected(self) -> bool:
        """Whether the prediction between the two is right after the ablation."""
        return self.after[0] >= self.after[1]


def audit(
    bundle: Bundle,
    picture: Image.Image,
    right: str,
    wrong: str,
    embeddings: tuple[Floats, Floats],
    *,
    steps: Sequence[int] = STEPS,
    concepts: int = 8,
) -> Audit:
    """Name what pushed a picture from `right` to `wrong`, and ablate it until that is mended.

    `embeddings` are the two texts', [embed] each. The smallest number of neurons in `steps`
    that mends the prediction is ablated, the largest if none does.

    Raises:
        InputError: when no neuron pushes the picture that way, or the model cannot be loaded.
    """
    opened = open_lens_model(bundle)
    reading = read(opened, [picture])
    effects = reading.effects[0].astype(np.float64)
    pushes = _pushes(bundle, effects, embeddings)
    order = np.argsort(-pushes, kind="stable")
    order = order[pushes[order] > 0]
    if not len(order):
        raise InputError(f"No neuron moves this picture from “{right}” to “{wrong}”.")
    texts = functional.normalize(torch.from_numpy(np.stack(embeddings)), dim=1)
    before = _cosines(reading.trace.representation, texts)
    after, count = _mended(opened, bundle, reading.images, order, texts, steps) or (before, 0)
    close = closeness(bundle, right, wrong, embeddings)
    return Audit(
        right,
        wrong,
        before,
        after,
        count,
        tuple(_pusher(bundle, int(row), effects, pushes) for row in order[:count]),
        _concepts(bundle, order, pushes, close, concepts),
    )


def _mended(
    opened: LensModel,
    bundle: Bundle,
    images: Tensor,
    order: NDArray[np.int64],
    texts: Tensor,
    steps: Sequence[int],
) -> tuple[tuple[float, float], int] | None:
    """Ablate ever more neurons until the prediction is right; None where `steps` is empty.

    Returns the cosines after the last step, and how many neurons it ablated.
    """
    means = mean_activations(bundle)
    found = None
    for step in steps:
        count = min(step, len(order))
        output = ablated_output(opened, bundle, images, order[:count], means)
        right, wrong = _cosines(output, texts)
        found = (right, wrong), count
        if right >= wrong or count == len(order):
            break
    return found


def _pusher(
    bundle: Bundle, row: int, effects: NDArray[np.float64], pushes: NDArray[np.float64]
) -> Pusher:
    table = bundle.neurons
    return Pusher(
        int(table["layer"].iloc[row]),
        int(table["neuron"].iloc[row]),
        float(effects[row]),
        float(pushes[row]),
        str(table["concepts"].iloc[row]),
    )


@torch.no_grad()
def ablated_output(
    opened: LensModel,
    bundle: Bundle,
    images: Tensor,
    rows: Sequence[int] | NDArray[np.int64],
    means: Mapping[int, Tensor],
) -> Tensor:
    """Return the output with some neurons at their mean activation: [image, embed].

    `images` are preprocessed, `rows` the bundle's rows of the neurons, `means` layer ->
    [token, neuron].
    """
    layers, numbers = bundle.neurons["layer"].to_numpy(), bundle.neurons["neuron"].to_numpy()
    chosen: dict[int, list[int]] = defaultdict(list)
    for row in rows:
        chosen[int(layers[row])].append(int(numbers[row]))
    model = opened.loaded.model
    visual = visual_of(model)
    with ablating(model, chosen, means):
        output = visual(images.to(visual.conv1.weight))
    found: Tensor = output[0] if isinstance(output, tuple) else output
    return found


def mean_activations(bundle: Bundle, count: int = SAMPLE) -> dict[int, Tensor]:
    """Return mean activations over the bundle's first sampled pictures: layer -> [token, neuron].

    The pictures are the random ones whose effects the bundle keeps; the means are kept too.
    """
    return kept(bundle, f"mean activations {count}", lambda: _mean_activations(bundle, count))


def _mean_activations(bundle: Bundle, count: int) -> dict[int, Tensor]:
    opened = open_lens_model(bundle)
    images = np.asarray(bundle.sample_images)[:count]
    totals: dict[int, Tensor] = {}
    for start in range(0, len(images), BATCH):
        shown = (whole_picture(bundle, int(i)) for i in images[start : start + BATCH])
        pixels = torch.stack([opened.loaded.preprocess(to_rgb(picture)) for picture in shown])
        with opened.lock:
            record = trace(opened.loaded.model, pixels.to(opened.loaded.device), opened.layers)
        for layer in opened.layers:
            total = record.post_activations(layer).sum(dim=0)
            totals[layer] = totals[layer] + total if layer in totals else total
    return {layer: total / len(images) for layer, total in totals.items()}


def _pushes(
    bundle: Bundle, effects: NDArray[np.float64], embeddings: tuple[Floats, Floats]
) -> NDArray[np.float64]:
    difference = embeddings[1] - embeddings[0]
    unit = difference / max(float(np.linalg.norm(difference)), 1e-9)
    pushes: NDArray[np.float64] = effects * (np.asarray(bundle.directions, np.float32) @ unit)
    return pushes


def _cosines(output: Tensor, texts: Tensor) -> tuple[float, float]:
    right, wrong = (functional.normalize(output.float().cpu(), dim=1) @ texts.T)[0].tolist()
    return right, wrong


def _concepts(
    bundle: Bundle,
    order: NDArray[np.int64],
    pushes: NDArray[np.float64],
    close: Closeness,
    most: int,
) -> tuple[tuple[str, float], ...]:
    rows = order[: STEPS[-1]]
    ids, weights = np.asarray(bundle.concept_ids[rows]), np.asarray(bundle.concept_weights[rows])
    # a positive push is a positive effect along a direction that points to the wrong class, or a
    # negative one along a direction that points away; the concept seen is the effect's own side
    toward = pushes[rows].astype(np.float32)
    support = pooled_scores(ids, weights, toward, len(bundle.texts))
    scores = label_scores(bundle, support)
    labels = vocabulary(bundle).labels
    best = [int(i) for i in np.argsort(-scores, kind="stable") if scores[i] > 0]
    kept = [i for i in best if not close.reasons[i]][:most]
    return tuple((labels[i], float(scores[i])) for i in kept)
