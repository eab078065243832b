"""The second-order lens: what an MLP neuron does to CLIP's output through later attention.

Gandelsman, Efros and Steinhardt, "Interpreting the Second-Order Effects of Neurons in CLIP",
section 3. With `p_t` the activation of a neuron at token `t` (token 0 is the class token) and `w`
the vector it writes to the residual stream, the neuron adds `p_t w` to the stream. Send that
through every later attention head into the class token, then through the last LayerNorm and the
projection, with attention probabilities and LayerNorm statistics held at the values of this forward
pass. The result factorises over paths `k = (later layer l', head h)`:

    effect[n] = sum_k  c[k, n] u[n, k]                                              in R^embed

    c[k, n]  = 1 / sigma_post * sum_t  a[l', h, t] p[t, n] / sigma[l', t]           per image
    u[n, k]  = proj^T ( gamma_post * C ls_1 W_O^h W_V^h ( gamma_l' * C w_n ) )      weights only

`a` is the class token's attention probability, `sigma` a LayerNorm's standard deviation, `gamma`
its weight, `ls_1` the LayerScale of block `l'` (where it has one) and `C v = v - mean(v)`.
Biases belong to no neuron. `w_n` includes the LayerScale of the neuron's own MLP.

1. `second_order_paths` computes `u` once per layer: `[neuron, path, embed]`.
2. `trace` runs one hooked forward pass and keeps `a`, `sigma`, `sigma_post` and `p`.
   `a` needs the class token's query only, and `q . W_K x_t = (W_K^T q) . x_t`: the keys are never
   formed. The key bias adds the same number to every score, so the softmax drops it.
3. `Trace.coefficients` is one product `[path, token] @ [token, neuron]` per image.
4. `SecondOrderLens.effects` multiplies the two. That is for small batches: everything else works
   in path coordinates, since `[image, neuron, embed]` does not fit in memory for a data set.
5. `SecondOrderLens.pairs` keeps the sum over paths open: a neuron, head by head.

With `centre=False` both `C` are left out. That is what the code released with the paper computes;
it differs from the exact attribution by one vector per image, the same for all neurons.

Axes: image layer neuron path token embed, and `head` and `width` inside a block. Arithmetic is
float32 whatever the model's precision (float64 for a float64 model).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from explorer.errors import InputError
from explorer.lens.models import check_supported
from explorer.lens.pairs import HeadPairs
from explorer.lens.trace import Trace, class_token_attention, trace
from explorer.lens.weights import (
    HeadPath,
    check_layer,
    lens_dtype,
    own_projections,
    path_names,
    path_readers,
    readout,
    second_order_paths,
    stream_maps,
    write_vectors,
)

__all__ = [
    "HeadPairs",
    "HeadPath",
    "LensOutput",
    "MultiLayerLens",
    "SecondOrderLens",
    "Trace",
    "check_layer",
    "class_token_attention",
    "lens_dtype",
    "own_projections",
    "path_names",
    "path_readers",
    "readout",
    "second_order_paths",
    "stream_maps",
    "trace",
    "write_vectors",
]


class LensOutput(NamedTuple):
    """One pass through a `MultiLayerLens`."""

    representation: Tensor
    """[image, embed] float32: the output before its L2 normalisation."""
    coefficients: dict[int, Tensor]
    """Layer -> [image, path, neuron] float32."""


class MultiLayerLens:
    """The second-order effects of several layers from one forward pass.

    `model` is an open_clip CLIP that `check_supported` accepts, `layers` are counted from 0 and
    each needs a later attention block.

    Raises:
        UnsupportedModelError: when the lens is not exact for `model`.
        InputError: when a layer cannot be read, none is named, or one is named twice.
    """

    def __init__(self, model: nn.Module, layers: Sequence[int], centre: bool = True) -> None:
        """Check model and layers; nothing is computed yet."""
        check_supported(model)
        self.model = model
        self.layers = tuple(check_layer(model, layer) for layer in layers)
        self.centre = centre
        if not self.layers or len(set(self.layers)) < len(self.layers):
            raise InputError(
                f"The lens needs one or more different layers and got {list(layers)}: name each "
                "layer once."
            )
        self.path_names = {layer: path_names(model, layer) for layer in self.layers}

    @cached_property
    def paths(self) -> Mapping[int, Tensor]:
        """Layer -> [neuron, path, embed] float32, each computed when first asked for and kept."""
        return _LazyTable(
            self.layers, lambda layer: second_order_paths(self.model, layer, centre=self.centre)
        )

    def trace(self, images: Tensor) -> Trace:
        """Run one hooked forward pass over preprocessed `images`; see `trace`."""
        return trace(self.model, images, self.layers)

    def run(self, images: Tensor) -> LensOutput:
        """Return representation and coefficients of preprocessed `images`; see `LensOutput`."""
        record = self.trace(images)
        return LensOutput(
            record.representation, {layer: record.coefficients(layer) for layer in self.layers}
        )


class SecondOrderLens:
    """The second-order effects of every neuron of one MLP layer.

    `model` is an open_clip CLIP that `check_supported` accepts; `layer` is counted from 0 and needs
    a later attention block. `centre=True` attributes exactly; `centre=False` is what the code
    released with the paper computes.

    Raises:
        UnsupportedModelError: when the lens is not exact for `model`.
        InputError: when the layer cannot be read.
    """

    def __init__(self, model: nn.Module, layer: int = 9, centre: bool = True) -> None:
        """Check model and layer; nothing is computed yet."""
        self._lens = MultiLayerLens(model, [layer], centre)
        self.model = model
        self.layer = self._lens.layers[0]
        self.centre = centre
        self.path_names = self._lens.path_names[self.layer]

    @property
    def paths(self) -> Tensor:
        """`u` of the module's equation: [neuron, path, embed] float32."""
        return self._lens.paths[self.layer]

    @cached_property
    def pairs(self) -> HeadPairs:
        """The neurons head by head: directions, coefficients, effects and maps of pairs."""
        return HeadPairs(self.layer, self.path_names, self.paths, self.trace)

    def trace(self, images: Tensor) -> Trace:
        """Run one hooked forward pass over preprocessed `images`; see `trace`."""
        return self._lens.trace(images)

    def coefficients(self, images: Tensor) -> Tensor:
        """Return `c` of the module's equation for `images`: [image, path, neuron] float32."""
        return self.trace(images).coefficients(self.layer)

    def token_coefficients(self, images: Tensor) -> Tensor:
        """Return the coefficients with the sum over tokens open: [image, path, token, neuron]."""
        return self.trace(images).token_coefficients(self.layer)

    def effects(self, images: Tensor) -> Tensor:
        """Return the second-order effects: [image, neuron, embed] float32.

        In units of the representation before its L2 normalisation. For small batches and tests:
        one image of ViT-B/32 takes 6 MB.
        """
        by_neuron = self.coefficients(images).permute(2, 0, 1)
        return torch.bmm(by_neuron, self.paths).transpose(0, 1).contiguous()

    def project(self, direction: Tensor) -> Tensor:
        """Return the paths' inner products with `direction` ([embed]): [neuron, path]."""
        return self.paths @ direction.to(self.paths)


class _LazyTable(Mapping[int, Tensor]):
    """A read-only mapping over known layers whose values are computed when first read."""

    def __init__(self, layers: Sequence[int], compute: Callable[[int], Tensor]) -> None:
        self._layers = layers
        self._compute = compute
        self._values: dict[int, Tensor] = {}

    def __getitem__(self, layer: int) -> Tensor:
        if layer not in self._layers:
            raise KeyError(layer)
        if layer not in self._values:
            self._values[layer] = self._compute(layer)
        return self._values[layer]

    def __iter__(self) -> Iterator[int]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)
