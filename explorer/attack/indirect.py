"""Concepts by indirect effects: what an attack by second-order effects is compared with.

A neuron's indirect effect is how the output moves when the neuron is mean-ablated and everything
after it is recomputed (Gandelsman, Efros and Steinhardt, section 3.2). Measured for the layer that
matters most, the last with a later block, by exact recomputation:

1. Mean activations at each token over a seeded sample of the corpus.
2. For every neuron the few sampled pictures on which its activation is furthest from that mean:
   `effect = output - output with the neuron at its mean`.
3. The neuron's indirect direction is the first singular vector of its effects, signed so that they
   add up positively; written as a sparse sum of texts by the same pursuit as any direction.

Axes: image neuron token width embed text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from explorer.attack.closeness import Floats
from explorer.attack.concepts import NEURONS
from explorer.attack.separation import label_scores, most_separating, pooled_scores
from explorer.bundle import Bundle
from explorer.bundle.originals import whole_picture
from explorer.decompose import batch_omp
from explorer.describe.sample import draw_sample
from explorer.lens import trace, write_vectors
from explorer.lens.interventions import recompute
from explorer.picture.model import open_lens_model
from explorer.picture.rivals import explained_pass
from explorer.pixels import to_rgb

SAMPLE = 24  # pictures
EACH = 6  # pictures per neuron, from which its direction is computed
TEXTS = 32  # of a sparse set
CHUNK = 48  # neurons recomputed at once


@dataclass(frozen=True, eq=False)
class IndirectEffects:
    """The neurons of one layer by what the output loses without them."""

    layer: int
    directions: Tensor
    """[neuron, embed] float32, unit norm; zeros without effect."""
    scale: Floats
    """[neuron]: root mean square of the effects; units of the output."""
    ids: NDArray[np.int64]
    """[neuron, m]: texts of each direction's sparse set."""
    weights: NDArray[np.float32]

    def scores(self, bundle: Bundle, source: Floats, target: Floats) -> NDArray[np.float64]:
        """Return what the pooled sets say for each corpus label: [label]."""
        difference = target - source
        difference = difference / max(float(np.linalg.norm(difference)), 1e-9)
        moved: Floats = self.scale * (self.directions.numpy() @ difference)
        rows = most_separating(moved, NEURONS)
        sets = (self.ids[rows], self.weights[rows])
        return label_scores(bundle, pooled_scores(*sets, moved[rows], len(bundle.texts)))


def measure_indirect(
    bundle: Bundle, seed: int = 0, say: Callable[[str], object] = lambda line: None
) -> IndirectEffects:
    """Return the indirect directions of the neurons of the last layer with a later block."""
    opened = open_lens_model(bundle)
    model, layer = opened.loaded.model, opened.layers[-1]
    images = draw_sample(bundle.pictures.corpus_size, SAMPLE, seed)
    shown = [opened.loaded.preprocess(to_rgb(whole_picture(bundle, int(i)))) for i in images]
    pixels = torch.stack(shown).to(opened.loaded.device)
    with opened.lock:
        active = trace(model, pixels, [layer]).post_activations(layer)
        stream = explained_pass(model, pixels).streams[layer].detach()
    directions, scale = indirect_directions(model, layer, stream, active, say)
    atoms = opened.dictionary.to(directions)
    most = min(TEXTS, len(atoms), directions.shape[1])
    ids, weights = batch_omp(directions, atoms, most)[:2]
    return IndirectEffects(layer, directions, scale.numpy(), np.asarray(ids), np.asarray(weights))


@torch.no_grad()
def indirect_directions(
    model: Any,
    layer: int,
    stream: Tensor,
    active: Tensor,
    say: Callable[[str], object] = lambda line: None,
) -> tuple[Tensor, Tensor]:
    """Return unit directions [neuron, embed] and root mean square effects [neuron].

    `stream` [image, token, width] is what leaves block `layer`, `active` [image, token,
    neuron] its post-activations.
    """
    writes = write_vectors(model, layer, centre=False)
    away = active - active.mean(dim=0)  # [image, token, neuron]
    chosen = away.norm(dim=1).topk(min(EACH, len(active)), dim=0).indices.T  # [neuron, each]
    whole = recompute(model, layer, stream)
    directions, scale = [], []
    for start in range(0, len(writes), CHUNK):
        neurons = torch.arange(start, min(start + CHUNK, len(writes)))
        found = []
        for images in chosen[neurons].T:
            moved = away[images, :, neurons][..., None] * writes[neurons][:, None]
            found.append(whole[images] - recompute(model, layer, stream[images] - moved))
        effects = torch.stack(found, dim=1).float().cpu()  # [neuron, each, embed]
        direction = torch.linalg.svd(effects, full_matrices=False).Vh[:, 0]
        sign = torch.einsum("nie,ne->n", effects, direction).sign()
        alive = effects.flatten(1).norm(dim=1) > 0
        directions.append(direction * sign[:, None] * alive[:, None])
        scale.append(effects.square().sum(dim=2).mean(dim=1).sqrt())
        if start % (8 * CHUNK) == 0:
            say(f"indirect effects: {start} of {len(writes)} neurons")
    return torch.cat(directions), torch.cat(scale)
