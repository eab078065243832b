"""Direct effects of whole pictures: a check on the directions that the lens gives them."""

from __future__ import annotations

from torch import Tensor, nn

from explorer.lens import trace
from explorer.lens.direct import direct_paths


def direct_effects(model: nn.Module, images: Tensor, layer: int) -> Tensor:
    """Return the direct effects of a layer's neurons: [image, neuron, embed]."""
    record = trace(model, images, [layer])
    coefficients = record.post_activations(layer)[:, 0] / record.sigma_post[:, None]
    return coefficients[..., None] * direct_paths(model, layer)
