"""Pairs of neurons and heads against ablation by hooks, on random towers and on the shipped one."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from explorer.bundle import MODEL_FOLDER
from explorer.errors import InputError
from explorer.lens import HeadPath, SecondOrderLens, trace
from explorer.lens.hooks import hooked
from explorer.lens.models import load_model
from explorer.places import BUNDLES, SHIPPED
from tests.lens.test_lens import Frozen
from tests.support.tiny import tiny_clip, tiny_images


def shipped() -> tuple[Any, Tensor]:
    """The trained model, and pictures of noise with structure: a bright square on each."""
    loaded = load_model(f"local-dir:{Path(BUNDLES) / SHIPPED / MODEL_FOLDER}")
    images = 0.3 * tiny_images(2, image=loaded.image_size)
    images[0, :, 40:110, 30:120] += 2
    images[1, 0, 60:150, 80:150] -= 2
    return loaded.model, images


def random_tower() -> tuple[Any, Tensor]:
    return tiny_clip(layer_scale=True, quick_gelu=True), tiny_images(2)


TOWERS = {"random": (random_tower, 1), "shipped": (shipped, 8)}


@pytest.fixture(params=TOWERS, scope="module")
def tower(request: pytest.FixtureRequest) -> tuple[Any, Tensor, int]:
    make, layer = TOWERS[request.param]
    return *make(), layer


def attended_without(
    model: Any, images: Tensor, layer: int, neuron: int, block: int, head: int
) -> Tensor:
    """The output change when one head reads a neuron's place as empty, by hooks: [image, embed].

    Attention and LayerNorm statistics are those of the pass: the hook in front of the head's output
    map takes the neuron out of that head's values at the class token alone, and what the block
    writes less is sent through the last LayerNorm with its deviation of the pass.
    """
    model = copy.deepcopy(model).double()
    visual, blocks = model.visual, model.visual.transformer.resblocks
    kept: dict[str, Tensor] = {}
    with hooked(model) as hooks, torch.no_grad():
        hooks.before(blocks[layer].mlp.c_proj, lambda inputs: kept.update(p=inputs[0]) or None)
        hooks.before(blocks[block].ln_1, lambda inputs: kept.update(x=inputs[0]) or None)
        hooks.before(visual.ln_post, lambda inputs: kept.update(last=inputs[0]) or None)
        visual(images.double())
    attention, norm = blocks[block].attn, blocks[block].ln_1
    stream, width = kept["x"], kept["x"].shape[2]
    size = width // attention.num_heads
    part = slice(head * size, (head + 1) * size)
    with torch.no_grad():
        normed = norm(stream)
        _, weights = attention(
            normed, normed, normed, need_weights=True, average_attn_weights=False
        )
        write = blocks[layer].ls_2(blocks[layer].mlp.c_proj.weight[:, neuron])
        removed = kept["p"][..., neuron, None] * write
        sigma = (stream.var(dim=2, unbiased=False) + norm.eps).sqrt()
        moved = (removed - removed.mean(2, keepdim=True)) / sigma[..., None] * norm.weight
        value = (moved @ attention.in_proj_weight[2 * width :].T)[..., part]
        read = torch.einsum("it,itd->id", weights[:, head, 0], value)
        written = blocks[block].ls_1(read @ attention.out_proj.weight[:, part].T)
        last = kept["last"] if kept["last"].ndim == 2 else kept["last"][:, 0]
        post = visual.ln_post
        deviation = (last.var(dim=1, unbiased=False) + post.eps).sqrt()[:, None]

        def output(x: Tensor) -> Tensor:
            centred = (x - x.mean(1, keepdim=True)) / deviation * post.weight
            return (centred + post.bias) @ visual.proj

        change: Tensor = output(last) - output(last - written)
    return change


def test_pairs_sum_to_their_neurons_effect(tower: tuple[Any, Tensor, int]) -> None:
    model, images, layer = tower
    lens = SecondOrderLens(model, layer)
    whole = lens.effects(images)
    assert whole.abs().max() > 1e-2
    for neuron in (0, 17, 255):
        effects = lens.pairs.effects(images, neuron)
        assert effects.shape[:2] == (2, len(lens.path_names))
        assert (effects.sum(dim=1) - whole[:, neuron]).abs().max() < 1e-5


def test_ablating_a_pair_is_its_effect(tower: tuple[Any, Tensor, int]) -> None:
    model, images, layer = tower
    lens = SecondOrderLens(model, layer)
    strongest = lens.pairs.coefficients(images).abs().amax(0).flatten().argmax()
    busy = int(strongest) % lens.paths.shape[0]
    sizes = []
    for neuron in (busy, 100):
        effects = lens.pairs.effects(images, neuron)
        for path in (0, len(lens.path_names) - 1):
            block, head = lens.path_names[path]
            expected = attended_without(model, images, layer, neuron, block, head)
            sizes.append(float(expected.norm()))
            assert (effects[:, path] - expected).abs().max() < 1e-5
    assert max(sizes) > 1e-3


def test_all_pairs_ablated_are_the_neuron_ablated() -> None:
    model, images = random_tower()
    lens = SecondOrderLens(model, 0)
    frozen = Frozen(model, images[0])
    effects = lens.pairs.effects(images[:1], 9)
    assert (effects.sum(1)[0] - frozen.second_order(0, 9)).abs().max() < 1e-5


def test_a_pair_has_one_direction_and_maps_that_sum_to_its_coefficient(
    tower: tuple[Any, Tensor, int],
) -> None:
    model, images, layer = tower
    pairs = SecondOrderLens(model, layer).pairs
    effects = pairs.effects(images, 5)
    coefficients = pairs.coefficients(images)[:, :, 5]
    along = torch.einsum("ike,ke->ik", effects, pairs.directions[5])
    torch.testing.assert_close(along, coefficients * pairs.sizes[5])
    torch.testing.assert_close(effects.norm(dim=2), along.abs())
    maps = pairs.maps(images, [(5, 0), (17, 2), (5, 2)])
    tokens = trace(model, images, [layer]).token_coefficients(layer)
    torch.testing.assert_close(maps[:, 1], tokens[:, 2, :, 17])
    torch.testing.assert_close(maps[:, 0].sum(1), coefficients[:, 0])
    torch.testing.assert_close(maps[:, 2].sum(1), coefficients[:, 2])


def test_a_head_is_found_by_its_name_or_refused() -> None:
    pairs = SecondOrderLens(tiny_clip(), 1).pairs
    assert pairs.names[pairs.path(3, 2)] == HeadPath(3, 2)
    with pytest.raises(InputError, match=r"head 1\.0: choose a block from 2 to 3 .* 0 to 3"):
        pairs.path(1, 0)
    with pytest.raises(InputError, match="no path 8: choose 0 to 7"):
        pairs.maps(tiny_images(1), [(0, 8)])
    with pytest.raises(InputError, match="no neuron 256"):
        pairs.effects(tiny_images(1), 256)
    with pytest.raises(InputError, match="at least one"):
        pairs.maps(tiny_images(1), [])
