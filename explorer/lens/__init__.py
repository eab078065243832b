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

1. `second_order_paths` computes `u` once a layer: `[neuron, path, embed]`.
2. `trace` runs one forward pass with hooks and keeps `a`, `sigma`, `sigma_post` and `p`.
   `a` needs the class token's query only, and `q . W_K x_t = (W_K^T q) . x_t`: the keys are never
   formed. The key bias adds the same number to every score, so the softmax drops it.
3. `Trace.coefficients` is one product `[path, token] @ [token, neuron]` an image.
4. `SecondOrderLens.effects` multiplies the two. That is for small batches: everything else works
   in path coordinates, since `[image, neuron, embed]` does not fit in memory for a data set.

With `centre=False` both `C` are left out. That is what the code released with the paper computes;
it differs from the exact attribution by one vector an image that is the same for all neurons.

Axes: image layer neuron path token embed, and `head` and `width` inside a block. Arithmetic is
float32 whatever the model's precision (float64 for a float64 model).
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import torch
from open_clip.transformer import LayerScale
from torch import Tensor, nn
from torch.nn import functional

from explorer.errors import InputError
from explorer.lens.models import check_supported

_HOOK_LOCK = threading.RLock()


class HeadPath(NamedTuple):
    """One route from a neuron to the output: head `head` of the later block `layer`."""

    layer: int
    head: int


def check_layer(model: nn.Module, layer: int, *, direct: bool = False) -> int:
    """Return `layer` as an int; InputError unless a later block of `model` can read from it.

    With `direct` the last layer is allowed too: it has first-order effects only.
    """
    last = len(_blocks(model)) - (1 if direct else 2)
    try:
        index = operator.index(layer)
    except TypeError:
        index = -1
    if not 0 <= index <= last:
        reason = "" if direct else ", so that an attention block follows it"
        raise InputError(
            f"Layer {layer!r} cannot be read in this model: choose a layer from 0 to {last}, "
            f"counted from 0{reason}."
        )
    return index


def path_names(model: nn.Module, layer: int) -> list[HeadPath]:
    """Return what the path axis of `layer` counts: every head of every later block, in order."""
    blocks = _blocks(model)
    return [
        HeadPath(later, head)
        for later in range(check_layer(model, layer) + 1, len(blocks))
        for head in range(blocks[later].attn.num_heads)
    ]


def lens_dtype(model: nn.Module) -> torch.dtype:
    """Return the dtype of the lens's arithmetic: float32, or float64 for a float64 model."""
    wide = _visual(model).conv1.weight.dtype == torch.float64
    return torch.float64 if wide else torch.float32


@torch.no_grad()
def write_vectors(model: nn.Module, layer: int, *, centre: bool) -> Tensor:
    """Return what each neuron of `layer` writes to the stream for activation 1: [neuron, width].

    LayerScale is included. `centre` takes each vector's mean off, which is what the LayerNorm
    that reads it does.
    """
    block = _blocks(model)[layer]
    dtype = lens_dtype(model)
    vectors = block.mlp.c_proj.weight.to(dtype).T
    vectors = vectors * _layer_scale(block.ls_2, vectors)
    return vectors - vectors.mean(dim=1, keepdim=True) if centre else vectors


@torch.no_grad()
def readout(model: nn.Module, *, centre: bool) -> Tensor:
    """Return the map from stream to output but for 1 / sigma_post: `gamma_post * proj`.

    [width, embed]; with `centre` the mean over the width is taken off its input first.
    """
    dtype = lens_dtype(model)
    visual = _visual(model)
    matrix = visual.ln_post.weight.to(dtype)[:, None] * visual.proj.to(dtype)
    return matrix - matrix.mean(dim=0, keepdim=True) if centre else matrix


@torch.no_grad()
def second_order_paths(model: nn.Module, layer: int, *, centre: bool = True) -> Tensor:
    """Return `u` of the module's equation: [neuron, path, embed] float32, weights only.

    Memory is neurons x paths x embed x 4 bytes: 151 MB for layer 9 of ViT-B/32.

    Raises InputError for a layer without a later block.
    """
    layer = check_layer(model, layer)
    vectors = write_vectors(model, layer, centre=centre)
    output = readout(model, centre=centre)
    paths = vectors.new_empty(len(vectors), len(path_names(model, layer)), output.shape[1])
    start = 0
    for values, outputs in _head_maps(model, layer, vectors, output):
        heads = values.shape[1]
        # d: the dimensions of one head
        paths[:, start : start + heads] = torch.einsum("nhd,hdp->nhp", values, outputs)
        start += heads
    return paths


@torch.no_grad()
def own_projections(
    model: nn.Module, layer: int, directions: Tensor, *, centre: bool = True
) -> Tensor:
    """Return the paths' inner products with each neuron's own direction: [neuron, path].

    `directions` is [neuron, embed]. Equal to `(paths * directions[:, None]).sum(2)`, but [neuron,
    path, embed] is never formed: the directions go back through the output weights instead.

    Raises InputError for a layer without a later block, or directions of a wrong shape.
    """
    layer = check_layer(model, layer)
    vectors = write_vectors(model, layer, centre=centre)
    output = readout(model, centre=centre)
    if directions.shape != (len(vectors), output.shape[1]):
        raise InputError(
            f"Layer {layer} takes one direction a neuron, [{len(vectors)}, {output.shape[1]}], and "
            f"got {list(directions.shape)}: take the directions of this model and layer."
        )
    parts = [
        (values * torch.einsum("np,hdp->nhd", directions.to(vectors), outputs)).sum(dim=2)
        for values, outputs in _head_maps(model, layer, vectors, output)
    ]
    return torch.cat(parts, dim=1)


def _head_maps(
    model: nn.Module, layer: int, vectors: Tensor, output: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, for every block after `layer`, the two halves of its heads' paths.

    They are what each head's values read of `vectors`, [neuron, head, d], and what its output
    writes to the joint space, [head, d, embed]; d: the dimensions of one head.
    """
    dtype, width = vectors.dtype, vectors.shape[1]
    for block in _blocks(model)[layer + 1 :]:
        heads = block.attn.num_heads
        value = block.attn.in_proj_weight[2 * width :].to(dtype) * block.ln_1.weight.to(dtype)
        values = (vectors @ value.T).unflatten(1, (heads, -1))
        scaled = block.attn.out_proj.weight.to(dtype).T * _layer_scale(block.ls_1, vectors)
        yield values, (scaled @ output).unflatten(0, (heads, -1))


@torch.no_grad()
def path_readers(model: nn.Module, directions: Tensor, *, centre: bool = True) -> dict[int, Tensor]:
    """Return what each path reads off the stream along each direction, weights only.

    `directions` is [text, embed]. Result: block -> [head, width, text] for every block `r`, with
    `u[n, k] . direction = w_n . r_k` for each neuron of an earlier layer: second-order effects
    along a direction need no [neuron, path, embed].
    """
    output = directions.to(lens_dtype(model)) @ readout(model, centre=centre).T
    readers = {}
    for index, block in enumerate(_blocks(model)):
        heads, width = block.attn.num_heads, output.shape[1]
        # LayerNorm's and LayerScale's weights meet the few texts, not the weight matrices
        scaled = output * _layer_scale(block.ls_1, output)
        by_head = (scaled @ block.attn.out_proj.weight.to(output)).unflatten(1, (heads, -1))
        value = block.attn.in_proj_weight[2 * width :].to(output).unflatten(0, (heads, -1))
        # [head, text, d] @ [head, d, width], d: the dimensions of one head
        reader = (by_head.transpose(0, 1) @ value * block.ln_1.weight.to(output)).transpose(1, 2)
        readers[index] = reader - reader.mean(dim=1, keepdim=True) if centre else reader
    return readers


@torch.no_grad()
def stream_maps(model: nn.Module, *, centre: bool = True) -> dict[int, tuple[Tensor, Tensor]]:
    """Return what each head reads of the stream and writes to the output, weights only.

    Result: block -> ([width, head, d], [head, d, embed]) for every block after the first; d: the
    dimensions of one head. `u[n, k] = w_n` times the first times the second.
    """
    output = readout(model, centre=centre)
    stream = torch.eye(len(output), dtype=output.dtype, device=output.device)
    stream = stream - 1 / len(output) if centre else stream
    return dict(enumerate(_head_maps(model, 0, stream, output), start=1))


@dataclass(frozen=True)
class Trace:
    """What one forward pass leaves behind for the lens; every method is a pure function of it.

    `attention` and `sigma` are there for every block after the earliest layer asked for.
    """

    representation: Tensor
    """[image, embed]: the output before its L2 normalisation."""
    attention: Mapping[int, Tensor]
    """Block -> [image, head, token]: attention probabilities of the class token's query."""
    sigma: Mapping[int, Tensor]
    """Block -> [image, token]: standard deviation in the LayerNorm before attention."""
    sigma_post: Tensor
    """[image]: standard deviation of the class token in the last LayerNorm."""
    activations: Mapping[int, Tensor]
    """Layer -> [image, token, neuron]: post-activations in the model's own dtype."""
    writes: Mapping[int, Tensor] = field(default_factory=dict)
    """Layer -> [image, token, width]: what all neurons write together, biases left out.

    The sum over neurons of activation times write vector, not centred, LayerScale included.
    """

    def _check_recorded(self, layer: int) -> None:
        if layer not in self.activations:
            raise InputError(
                f"Layer {layer!r} was not recorded in this pass, which holds layers "
                f"{sorted(self.activations)}: name it when the pass is made."
            )

    @cached_property
    def _path_weights(self) -> Tensor:
        """[image, path, token] of the earliest layer; a later layer's are its last rows."""
        return torch.cat(
            [
                self.attention[block] / (self.sigma[block] * self.sigma_post[:, None])[:, None]
                for block in sorted(self.attention)
            ],
            dim=1,
        )

    def path_weights(self, layer: int) -> Tensor:
        """Return `a / (sigma sigma_post)`, the weight of each token: [image, path, token].

        Raises InputError if the pass did not record `layer` or no block follows it.
        """
        self._check_recorded(layer)
        if layer >= max(self.attention, default=0):
            raise InputError(
                f"Layer {layer!r} has no later attention block: choose an earlier layer."
            )
        paths = sum(rows.shape[1] for block, rows in self.attention.items() if block > layer)
        return self._path_weights[:, self._path_weights.shape[1] - paths :]

    def post_activations(self, layer: int) -> Tensor:
        """Return the neurons' activations in the lens's dtype: [image, token, neuron].

        Raises InputError if the pass did not record `layer`.
        """
        self._check_recorded(layer)
        return self.activations[layer].to(self.sigma_post.dtype)

    def coefficients(self, layer: int) -> Tensor:
        """Return `c` of the module's equation: [image, path, neuron]."""
        return torch.bmm(self.path_weights(layer), self.post_activations(layer))

    def token_coefficients(self, layer: int) -> Tensor:
        """Return `c` with the sum over tokens left open: [image, path, token, neuron].

        Memory is paths times that of the activations: for small batches.
        """
        return self.path_weights(layer)[..., None] * self.post_activations(layer)[:, None]

    def token_projections(self, layer: int, projections: Tensor) -> Tensor:
        """Return each token's share of every neuron's effect along one direction.

        `projections` is [neuron, path], the paths' inner products with the direction (see
        `SecondOrderLens.project`). Result: [image, token, neuron]; its sum over tokens is
        `effects @ direction`. [path, token, neuron] is never formed.
        """
        weights = self.path_weights(layer).transpose(1, 2)
        return (weights @ projections.T).mul_(self.post_activations(layer))

    def token_shares(self, layer: int, projections: Tensor) -> Tensor:
        """Return each token's share of the layer's effect along one direction: [image, token].

        The sum of `token_projections` over neurons, without forming it. To keep some neurons
        only, or to weigh them, scale the rows of `projections` ([neuron, path]).
        """
        by_path = self.post_activations(layer) @ projections
        return (by_path * self.path_weights(layer).transpose(1, 2)).sum(dim=2)


class LensOutput(NamedTuple):
    """One pass through a `MultiLayerLens`."""

    representation: Tensor
    """[image, embed] float32: the output before its L2 normalisation."""
    coefficients: dict[int, Tensor]
    """Layer -> [image, path, neuron] float32."""


@torch.no_grad()
def trace(model: nn.Module, images: Tensor, layers: Sequence[int]) -> Trace:
    """Run `model`'s image tower once and return what the lens needs of `layers`.

    `images` is [image, 3, height, width], preprocessed, of any float dtype and on any device. The
    tower runs in eval mode without gradients and its mode is restored. Only one pass runs at a
    time in a process, and passes of other threads through the same model are not recorded.

    The last layer can be recorded too; it has direct effects only.

    Raises UnsupportedModelError, or InputError for a layer the model lacks, no layer, or images of
    a wrong shape.
    """
    check_supported(model)
    indices = [check_layer(model, layer, direct=True) for layer in layers]
    if not indices:
        raise InputError("The lens needs at least one layer: name one, such as 9.")
    visual = _visual(model)
    _check_images(images, visual.image_size)
    with _recording(model, indices) as record:
        output = visual(images.to(visual.conv1.weight))
    representation = output[0] if isinstance(output, tuple) else output
    return Trace(
        representation=representation.to(lens_dtype(model)),
        attention=record.attention,
        sigma=record.sigma,
        sigma_post=record.sigma_post[0],
        activations=record.activations,
        writes={
            layer: _without_bias(_blocks(model)[layer], output.to(lens_dtype(model)))
            for layer, output in record.outputs.items()
        },
    )


class MultiLayerLens:
    """The second-order effects of several layers from one forward pass.

    `model` is an open_clip CLIP that `check_supported` accepts, `layers` are counted from 0 and
    each needs a later attention block. Raises UnsupportedModelError and InputError.
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
    released with the paper computes. Raises UnsupportedModelError and InputError.
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


@dataclass
class _Record:
    """What the hooks of one pass write."""

    attention: dict[int, Tensor] = field(default_factory=dict)
    sigma: dict[int, Tensor] = field(default_factory=dict)
    sigma_post: list[Tensor] = field(default_factory=list)
    activations: dict[int, Tensor] = field(default_factory=dict)
    outputs: dict[int, Tensor] = field(default_factory=dict)


@contextmanager
def _recording(model: nn.Module, layers: Sequence[int]) -> Iterator[_Record]:
    """Hook `model`'s image tower for one pass in eval mode; undo both whatever happens inside."""
    visual = _visual(model)
    dtype = lens_dtype(model)
    owner = threading.get_ident()
    record = _Record()

    def keep_activations(layer: int) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
            if threading.get_ident() == owner:
                record.activations[layer] = args[0]
                record.outputs[layer] = output

        return hook

    def keep_attention(index: int, attention: nn.MultiheadAttention) -> Callable[..., None]:
        def hook(module: nn.LayerNorm, args: tuple[Tensor, ...], output: Tensor) -> None:
            if threading.get_ident() == owner:
                record.sigma[index] = _deviation(args[0].to(dtype), module.eps)
                record.attention[index] = class_token_attention(attention, output.to(dtype))

        return hook

    def keep_last(module: nn.LayerNorm, args: tuple[Tensor, ...]) -> None:
        if threading.get_ident() == owner:
            stream = args[0] if args[0].ndim == 2 else args[0][:, 0]  # 2: pooled before the norm
            record.sigma_post.append(_deviation(stream.to(dtype), module.eps))

    handles = []
    with _HOOK_LOCK:
        training = [module for module in visual.modules() if module.training]
        try:
            for module in training:
                module.training = False
            blocks = _blocks(model)
            for layer in set(layers):
                hook = keep_activations(layer)
                handles.append(blocks[layer].mlp.c_proj.register_forward_hook(hook))
            for index in range(min(layers) + 1, len(blocks)):
                hook = keep_attention(index, blocks[index].attn)
                handles.append(blocks[index].ln_1.register_forward_hook(hook))
            handles.append(visual.ln_post.register_forward_pre_hook(keep_last))
            yield record
        finally:
            for handle in handles:
                handle.remove()
            for module in training:
                module.training = True


def class_token_attention(attention: nn.MultiheadAttention, normed: Tensor) -> Tensor:
    """Return the class token's attention probabilities: [image, head, token], dtype of `normed`.

    `normed` is the block's LayerNorm output [image, token, width]. The keys are not formed: the
    query is taken back through the key weights instead.
    """
    width = normed.shape[2]
    heads = attention.num_heads
    weight = attention.in_proj_weight.to(normed.dtype)
    bias = attention.in_proj_bias.to(normed.dtype)
    query = functional.linear(normed[:, 0], weight[:width], bias[:width])
    query = query.unflatten(1, (heads, -1)) * (width // heads) ** -0.5
    keys = weight[width : 2 * width].unflatten(0, (heads, -1))
    reads = torch.einsum("ihd,hdw->ihw", query, keys)  # d: dimensions of a head, w: width
    return torch.softmax(reads @ normed.transpose(1, 2), dim=2)


def _deviation(stream: Tensor, eps: float) -> Tensor:
    """Return LayerNorm's standard deviation over the last axis."""
    return (stream.var(dim=-1, unbiased=False) + eps).sqrt()


def _without_bias(block: Any, output: Tensor) -> Tensor:
    """Return what the neurons of a block's MLP write, from the output of its last linear map."""
    return (output - block.mlp.c_proj.bias.to(output)) * _layer_scale(block.ls_2, output)


def _visual(model: nn.Module) -> Any:
    return model.visual


def _blocks(model: nn.Module) -> Any:
    return _visual(model).transformer.resblocks


def _layer_scale(module: nn.Module, like: Tensor) -> Tensor:
    """Return a LayerScale's weights, [width], or a single 1 where the block has none."""
    return module.gamma.to(like) if isinstance(module, LayerScale) else like.new_ones(1)


def _check_images(images: Tensor, size: tuple[int, int]) -> None:
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[0] < 1 or shape[1:] != (3, *size):
        raise InputError(
            f"The lens takes preprocessed images of shape [image, 3, {size[0]}, {size[1]}] and got "
            f"{list(shape)}: pass each picture through the model's preprocess and stack them."
        )
