"""What the second-order lens is compared with: the direct (first-order) effect.

Gandelsman, Efros and Steinhardt, "Interpreting the Second-Order Effects of Neurons in CLIP",
section 3: the neuron's contribution `p_0 w` to the class token, sent straight through the last
LayerNorm and the projection with that LayerNorm's statistics held at this pass's values. With the
names of `explorer.lens` it factorises as the second-order effect does, over a single path:

    direct[n] = (p[0, n] / sigma_post) * proj^T ( gamma_post * C w_n )              in R^embed
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from explorer.lens import check_layer, readout, trace, write_vectors
from explorer.lens.models import check_supported


def direct_paths(model: nn.Module, layer: int, *, centre: bool = True) -> Tensor:
    """Return each neuron's direct direction, weights only: [neuron, embed] float32.

    Any layer has direct effects, the last one too; InputError outside the model.
    """
    check_supported(model)
    layer = check_layer(model, layer, direct=True)
    return write_vectors(model, layer, centre=centre) @ readout(model, centre=centre)


@torch.no_grad()
def direct_effects(model: nn.Module, images: Tensor, layer: int, *, centre: bool = True) -> Tensor:
    """Return the direct effects of a layer's neurons: [image, neuron, embed] float32.

    `images` are preprocessed, [image, 3, height, width]; units are those of the representation
    before its L2 normalisation. For small batches. Raises InputError and UnsupportedModelError.
    """
    paths = direct_paths(model, layer, centre=centre)
    record = trace(model, images, [layer])
    coefficients = record.post_activations(layer)[:, 0] / record.sigma_post[:, None]
    return coefficients[..., None] * paths
