"""What the second-order lens is compared with: the direct (first-order) effect.

Gandelsman, Efros and Steinhardt, "Interpreting the Second-Order Effects of Neurons in CLIP",
section 3: the neuron's contribution `p_0 w` to the class token, sent straight through the last
LayerNorm and the projection with that LayerNorm's statistics held at this pass's values. With the
names of `explorer.lens` it factorises as the second-order effect does, over a single path:

    direct[n] = (p[0, n] / sigma_post) * proj^T ( gamma_post * C w_n )              in R^embed
"""

from __future__ import annotations

from torch import Tensor, nn

from explorer.lens.models import check_supported
from explorer.lens.weights import check_layer, readout, write_vectors


def direct_paths(model: nn.Module, layer: int, *, centre: bool = True) -> Tensor:
    """Return each neuron's direct direction, weights only: [neuron, embed] float32.

    Any layer has direct effects, the last one too.

    Raises:
        UnsupportedModelError: when the lens is not exact for `model`.
        InputError: when the model lacks the layer.
    """
    check_supported(model)
    layer = check_layer(model, layer, direct=True)
    return write_vectors(model, layer, centre=centre) @ readout(model, centre=centre)
