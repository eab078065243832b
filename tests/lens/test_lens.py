"""The lens against interventions on frozen networks, the released code's numbers and plain loops.

The oracle below (`Frozen`) shares no code with `explorer.lens`: it reads a model's weights and
recomputes the network in float64 with attention weights from `nn.MultiheadAttention` itself.
"""

from __future__ import annotations

import copy
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.errors import InputError, UnsupportedModelError
from explorer.lens import (
    HeadPath,
    MultiLayerLens,
    SecondOrderLens,
    class_token_attention,
    path_names,
    second_order_paths,
    trace,
)
from explorer.lens.direct import direct_paths
from explorer.lens.hooks import Hooks, hooked
from explorer.lens.interventions import recompute, streams
from tests.support.direct import direct_effects
from tests.support.tiny import tiny_clip, tiny_images

REFERENCE = Path(__file__).parents[1] / "data" / "tiny_vit_official_effects.npz"
VARIANTS: dict[str, dict[str, Any]] = {
    "gelu": {},
    "quick_gelu": {"quick_gelu": True},
    "layer_scale": {"layer_scale": True, "no_ln_pre": True, "norm_kwargs": {"eps": 1e-2}},
    "quick_gelu_layer_scale_after_pool": {
        "quick_gelu": True,
        "layer_scale": True,
        "final_ln_after_pool": True,
    },
    "image_40": {"image": 40, "output_tokens": True},
}


@pytest.fixture(params=VARIANTS, scope="module")
def variant(request: pytest.FixtureRequest) -> dict[str, Any]:
    return VARIANTS[request.param]


class Frozen:
    """One image's pass in float64 whose attention and LayerNorm statistics can be reused."""

    def __init__(self, model: Any, image: torch.Tensor) -> None:
        self.visual = copy.deepcopy(model).double().visual
        self.blocks = list(self.visual.transformer.resblocks)
        self.stream: list[torch.Tensor] = []
        self.attention: list[torch.Tensor] = []
        self.activations: list[torch.Tensor] = []
        self.attended: list[torch.Tensor] = []
        self.mlp: list[torch.Tensor] = []
        with torch.no_grad():
            x = self.visual._embeds(image[None].double())
            self.embedding = x[0]
            for block in self.blocks:
                self.stream.append(x[0])
                normed = block.ln_1(x)
                out, weights = block.attn(
                    normed, normed, normed, need_weights=True, average_attn_weights=False
                )
                self.attention.append(weights[0])
                attended = block.ls_1(out)
                self.attended.append(attended[0])
                x = x + attended
                hidden = block.mlp.gelu(block.mlp.c_fc(block.ln_2(x)))
                self.activations.append(hidden[0])
                written = block.ls_2(block.mlp.c_proj(hidden))
                self.mlp.append(written[0])
                x = x + written
            self.last = x[0, 0]

    def normalise(self, norm: Any, x: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
        """LayerNorm of `x` with the standard deviation it has at `at`."""
        sigma = ((at - at.mean(-1, keepdim=True)) ** 2).mean(-1, keepdim=True).add(norm.eps).sqrt()
        return (x - x.mean(-1, keepdim=True)) / sigma * norm.weight + norm.bias

    def attend(self, index: int, x: torch.Tensor) -> torch.Tensor:
        """What block `index`'s attention writes to the class token for the stream `x`."""
        block = self.blocks[index]
        width = x.shape[1]
        normed = self.normalise(block.ln_1, x, self.stream[index])
        value = normed @ block.attn.in_proj_weight[2 * width :].T
        value = value + block.attn.in_proj_bias[2 * width :]
        size = width // block.attn.num_heads
        heads = [
            self.attention[index][head, 0] @ value[:, head * size : (head + 1) * size]
            for head in range(block.attn.num_heads)
        ]
        written = torch.cat(heads) @ block.attn.out_proj.weight.T + block.attn.out_proj.bias
        return block.ls_1(written)

    def output(self, last: torch.Tensor) -> torch.Tensor:
        return self.normalise(self.visual.ln_post, last, self.last) @ self.visual.proj

    def contribution(self, layer: int, neuron: int) -> torch.Tensor:
        """What the neuron adds to the stream: [token, width]."""
        block = self.blocks[layer]
        write = block.ls_2(block.mlp.c_proj.weight[:, neuron])
        return self.activations[layer][:, neuron, None] * write

    @torch.no_grad()
    def second_order(self, layer: int, neuron: int) -> torch.Tensor:
        """Ablate the neuron in front of every later attention and look at the frozen output."""
        removed = self.contribution(layer, neuron)
        without = self.last
        for later in range(layer + 1, len(self.blocks)):
            actual = self.attend(later, self.stream[later])
            without = without - actual + self.attend(later, self.stream[later] - removed)
        return self.output(self.last) - self.output(without)

    @torch.no_grad()
    def direct(self, layer: int, neuron: int) -> torch.Tensor:
        removed = self.contribution(layer, neuron)[0]
        return self.output(self.last) - self.output(self.last - removed)


def test_oracle_is_the_model(variant: dict[str, Any]) -> None:
    model = tiny_clip(**variant)
    images = tiny_images(1, image=variant.get("image", 32))
    frozen = Frozen(model, images[0])
    record = trace(copy.deepcopy(model).double(), images, [0])
    torch.testing.assert_close(record.representation[0], frozen.output(frozen.last))
    for index, block in enumerate(frozen.blocks):
        stream = frozen.stream[index]
        torch.testing.assert_close(frozen.attend(index, stream), frozen.attended[index][0])
        assert block.attn.in_proj_bias.abs().min() > 0


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_effects_equal_interventions(variant: dict[str, Any], layer: int) -> None:
    model = tiny_clip(**variant)
    images = tiny_images(2, image=variant.get("image", 32))
    effects = SecondOrderLens(model, layer=layer).effects(images)
    assert effects.dtype == torch.float32
    for index, image in enumerate(images):
        frozen = Frozen(model, image)
        for neuron in (0, 17, 100, 255):
            expected = frozen.second_order(layer, neuron)
            assert expected.norm() > 1e-3
            assert (effects[index, neuron] - expected).abs().max() < 1e-5


def test_effects_in_float64_are_exact() -> None:
    model = tiny_clip(layer_scale=True)
    images = tiny_images(1)
    effects = SecondOrderLens(copy.deepcopy(model).double(), layer=1).effects(images)
    frozen = Frozen(model, images[0])
    for neuron in range(0, 256, 51):
        assert (effects[0, neuron] - frozen.second_order(1, neuron)).abs().max() < 1e-12


@pytest.mark.parametrize("layer", [0, 3])
def test_direct_effects_equal_interventions(variant: dict[str, Any], layer: int) -> None:
    model = tiny_clip(**variant)
    images = tiny_images(2, image=variant.get("image", 32))
    effects = direct_effects(model, images, layer)
    for index, image in enumerate(images):
        frozen = Frozen(model, image)
        for neuron in (3, 200):
            expected = frozen.direct(layer, neuron)
            assert (effects[index, neuron] - expected).abs().max() < 1e-5


def test_released_code() -> None:
    data = np.load(REFERENCE)
    model = tiny_clip()
    state = {
        name.removeprefix("visual."): torch.from_numpy(data[name])
        for name in data
        if name.startswith("visual.")
    }
    model.visual.load_state_dict(state)
    images = torch.from_numpy(data["images"])
    lens = SecondOrderLens(model, layer=1, centre=False)
    effects = lens.effects(images)
    official = torch.from_numpy(data["official_effects"])
    ours = effects - effects.mean(dim=1, keepdim=True)
    theirs = official - official.mean(dim=1, keepdim=True)
    assert theirs.abs().max() > 0.01
    assert (ours - theirs).abs().max() < 1e-6
    representation = torch.from_numpy(data["representation"])
    torch.testing.assert_close(lens.trace(images).representation, representation)
    exact = SecondOrderLens(model, layer=1).effects(images)
    assert (exact - exact.mean(dim=1, keepdim=True) - theirs).abs().max() > 1e-4


@torch.no_grad()
def test_parts_sum_to_the_representation(variant: dict[str, Any]) -> None:
    """Embeddings + biases + first-order + second-order + higher-order = representation.

    The class token's last stream is embedding + attention outputs + MLP outputs. An attention
    output is linear in the stream it reads, so it splits by what was written there: embeddings,
    neurons (second order), MLP biases and earlier attention (higher order).
    """
    model = tiny_clip(**variant)
    images = tiny_images(1, image=variant.get("image", 32))
    frozen = Frozen(model, images[0])
    depth = len(frozen.blocks)
    zero = torch.zeros_like(frozen.embedding)

    def out(vector: torch.Tensor) -> torch.Tensor:
        return frozen.output(vector) - frozen.output(torch.zeros_like(vector))

    def through(later: int, x: torch.Tensor) -> torch.Tensor:
        return out(frozen.attend(later, x) - frozen.attend(later, zero))

    embeddings = out(frozen.embedding[0])
    biases = frozen.output(torch.zeros_like(frozen.last))
    higher = torch.zeros_like(biases)
    for later in range(depth):
        embeddings = embeddings + through(later, frozen.embedding)
        biases = biases + out(frozen.attend(later, zero))
        block = frozen.blocks[later]
        biases = biases + out(block.ls_2(block.mlp.c_proj.bias))
        for earlier in range(later):
            bias = frozen.blocks[earlier].ls_2(frozen.blocks[earlier].mlp.c_proj.bias)
            biases = biases + through(later, bias.expand_as(zero))
            higher = higher + through(later, frozen.attended[earlier])
    first = sum(direct_effects(model, images, layer)[0].sum(dim=0) for layer in range(depth))
    lens = [SecondOrderLens(model, layer) for layer in range(depth - 1)]
    second = sum(one.effects(images)[0].sum(dim=0) for one in lens)
    whole = lens[0].trace(images).representation[0].double()
    for part in (embeddings, biases, first, second, higher):
        assert torch.as_tensor(part).norm() > 0.05 * whole.norm()
    torch.testing.assert_close(
        embeddings + biases + first + second + higher, whole, rtol=0, atol=5e-5
    )


def test_attention_is_the_models_own() -> None:
    model = tiny_clip()
    images = tiny_images(3)
    record = trace(model, images, [0])
    assert sorted(record.attention) == [1, 2, 3]
    for index, image in enumerate(images):
        frozen = Frozen(model, image)
        for block in (1, 2, 3):
            expected = frozen.attention[block][:, 0]
            assert expected.max() > 0.2  # far from uniform over 17 tokens
            assert (record.attention[block][index] - expected).abs().max() < 1e-6


def test_attention_with_extreme_scores() -> None:
    attention = torch.nn.MultiheadAttention(64, 4, batch_first=True)
    torch.nn.init.normal_(attention.in_proj_weight)
    torch.nn.init.normal_(attention.in_proj_bias, std=5)
    normed = torch.randn(2, 9, 64, generator=torch.Generator().manual_seed(0))
    rows = class_token_attention(attention.double(), normed.double())
    _, expected = attention(
        normed.double(), normed.double(), normed.double(), average_attn_weights=False
    )
    torch.testing.assert_close(rows, expected[:, :, 0])


def test_results_do_not_depend_on_batch_size() -> None:
    lens = SecondOrderLens(tiny_clip(), layer=1)
    images = tiny_images(5)
    together = lens.coefficients(images)
    apart = torch.cat([lens.coefficients(image[None]) for image in images])
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-6)


def test_several_layers_in_one_pass_equal_one_layer_each() -> None:
    model = tiny_clip()
    images = tiny_images(2)
    calls: list[int] = []
    handle = model.visual.register_forward_hook(lambda *_: calls.append(1))
    lens = MultiLayerLens(model, [2, 0])
    output = lens.run(images)
    handle.remove()
    assert len(calls) == 1
    assert lens.layers == (2, 0) == tuple(output.coefficients)
    for layer in lens.layers:
        single = SecondOrderLens(model, layer)
        torch.testing.assert_close(output.coefficients[layer], single.coefficients(images))
        assert torch.equal(lens.paths[layer], single.paths)
        assert lens.path_names[layer] == single.path_names == path_names(model, layer)
    assert list(lens.paths) == [2, 0]
    assert len(lens.paths) == 2
    assert lens.paths[2] is lens.paths[2]
    with pytest.raises(KeyError):
        lens.paths[1]
    with torch.no_grad():
        torch.testing.assert_close(output.representation, model.encode_image(images))


def test_shapes_and_path_names() -> None:
    model = tiny_clip()
    lens = SecondOrderLens(model, 1)
    images = tiny_images(2)
    assert lens.paths.shape == (256, 8, 48)
    assert lens.coefficients(images).shape == (2, 8, 256)
    assert lens.token_coefficients(images).shape == (2, 8, 17, 256)
    assert lens.effects(images).shape == (2, 256, 48)
    assert lens.path_names[0] == (2, 0)
    assert lens.path_names[-1] == HeadPath(layer=3, head=3)
    assert torch.equal(second_order_paths(model, 1), lens.paths)


def test_a_path_is_one_head() -> None:
    """Silencing one head's output takes away that path and no other."""
    model = tiny_clip()
    before = SecondOrderLens(model, 1).paths
    with torch.no_grad():
        model.visual.transformer.resblocks[3].attn.out_proj.weight[:, 16:32] = 0
    lens = SecondOrderLens(model, 1)
    silenced = lens.path_names.index(HeadPath(layer=3, head=1))
    others = [path for path in range(8) if path != silenced]
    assert lens.paths[:, silenced].abs().max() == 0
    assert torch.equal(lens.paths[:, others], before[:, others])


def test_tokens_sum_to_coefficients_and_projections() -> None:
    lens = SecondOrderLens(tiny_clip(layer_scale=True), layer=1)
    images = tiny_images(2)
    record = lens.trace(images)
    by_token = lens.token_coefficients(images)
    torch.testing.assert_close(by_token.sum(dim=2), lens.coefficients(images))
    direction = torch.randn(48, generator=torch.Generator().manual_seed(1))
    projections = lens.project(direction)
    shares = record.token_shares(1, projections)
    expected = torch.einsum("iktn,nkp,p->it", by_token, lens.paths, direction)
    torch.testing.assert_close(shares, expected, rtol=1e-4, atol=1e-5)
    whole = (lens.effects(images) @ direction).sum(dim=1)
    torch.testing.assert_close(shares.sum(dim=1), whole, rtol=1e-4, atol=1e-5)


def test_an_image_token_alone_carries_its_share() -> None:
    """Ablating a neuron at one token only moves the frozen output by that token's share."""
    model = tiny_clip()
    images = tiny_images(1)
    lens = SecondOrderLens(model, layer=1)
    frozen = Frozen(model, images[0])
    share = torch.einsum("ktn,nkp->tnp", lens.token_coefficients(images)[0, :, 5:6], lens.paths)
    whole = frozen.contribution(1, 40)
    only = torch.zeros_like(whole)
    only[5] = whole[5]
    frozen.contribution = lambda layer, neuron: only  # type: ignore[method-assign]
    assert (share[0, 40] - frozen.second_order(1, 40)).abs().max() < 1e-6


def hooks_of(model: torch.nn.Module) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()
    )


def test_an_exception_leaves_no_hook_and_no_mode_behind() -> None:
    model = tiny_clip()
    model.train()
    model.visual.ln_post.eval()
    lens = MultiLayerLens(model, [0, 1])

    def fail(*_: object) -> None:
        assert hooks_of(model) > 1
        raise RuntimeError("inside the pass")

    handle = model.visual.transformer.resblocks[2].mlp.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="inside the pass"):
        lens.run(tiny_images(1))
    handle.remove()
    assert hooks_of(model) == 0
    assert model.visual.training
    assert not model.visual.ln_post.training
    lens.run(tiny_images(1))
    assert hooks_of(model) == 0
    assert model.visual.training


def test_hooks_are_gone_after_an_exception_and_answer_to_their_own_thread() -> None:
    model = tiny_clip()
    seen: list[str] = []
    blocks = model.visual.transformer.resblocks

    def watch(hooks: Hooks) -> None:
        hooks.before(blocks[1], lambda inputs: seen.append("before"))
        hooks.after(blocks[1], lambda inputs, output: seen.append("after"))

    with pytest.raises(RuntimeError, match="inside"), hooked(model) as hooks:
        watch(hooks)
        assert hooks_of(model) == 2
        raise RuntimeError("inside")
    assert hooks_of(model) == 0
    with hooked(model) as hooks:
        watch(hooks)
        thread = threading.Thread(target=model.encode_image, args=(tiny_images(1),))
        thread.start()
        thread.join()
        assert not seen
        model.encode_image(tiny_images(1))
    assert seen == ["before", "after"]
    assert hooks_of(model) == 0


def test_only_one_hooked_pass_runs_at_a_time() -> None:
    """A second thread waits; what it records is its own."""
    model = tiny_clip()
    order: list[str] = []

    def second() -> None:
        with hooked(model):
            order.append("second")

    with hooked(model):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(timeout=0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


@pytest.mark.parametrize("raised", [False, True])
def test_streams_leave_no_hook_and_see_no_other_thread(raised: bool) -> None:
    model = tiny_clip()
    images = tiny_images(2)
    expected = streams(model, images, [1])

    def disturb(*_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=model.encode_image, args=(tiny_images(3, seed=99),))
            thread.start()
            thread.join()
            if raised:
                raise RuntimeError("inside the pass")

    handle = model.visual.transformer.resblocks[3].register_forward_hook(disturb)
    with pytest.raises(RuntimeError, match="inside") if raised else nullcontext():
        found = streams(model, images, [1])
        assert torch.equal(found.outputs[1], expected.outputs[1])
        assert torch.equal(found.activations[1], expected.activations[1])
    handle.remove()
    assert hooks_of(model) == 0


def test_training_mode_does_not_change_the_result() -> None:
    images = tiny_images(2)
    expected = SecondOrderLens(tiny_clip(), 1).coefficients(images)
    model = tiny_clip(patch_dropout=0.5)
    model.train()
    assert torch.equal(SecondOrderLens(model, 1).coefficients(images), expected)


def test_recomputing_equals_the_models_own_pass() -> None:
    model = tiny_clip(layer_scale=True)
    images = tiny_images(3)
    outputs = streams(model, images, [1, 2]).outputs
    for layer in (1, 2):
        found = recompute(model, layer, outputs[layer])
        assert torch.allclose(found, model.visual(images), atol=1e-5)


def test_a_pass_in_another_thread_is_not_recorded() -> None:
    model = tiny_clip()
    images = tiny_images(2)
    expected = SecondOrderLens(model, 0).coefficients(images)
    other = tiny_images(3, seed=99)

    def disturb(*_: object) -> None:
        if threading.current_thread() is threading.main_thread():
            thread = threading.Thread(target=model.encode_image, args=(other,))
            thread.start()
            thread.join()

    handle = model.visual.transformer.resblocks[3].mlp.register_forward_hook(disturb)
    assert torch.equal(SecondOrderLens(model, 0).coefficients(images), expected)
    handle.remove()


@pytest.mark.parametrize("layer", [3, 9, -1, "two", 1.5])
def test_layers_without_later_attention_are_refused(layer: Any) -> None:
    with pytest.raises(InputError, match="from 0 to 2"):
        SecondOrderLens(tiny_clip(), layer=layer)


def test_bad_input_is_refused_in_one_sentence() -> None:
    model = tiny_clip()
    with pytest.raises(InputError, match="each layer once"):
        MultiLayerLens(model, [1, 1])
    with pytest.raises(InputError, match="one or more"):
        MultiLayerLens(model, [])
    with pytest.raises(InputError, match="at least one layer"):
        trace(model, tiny_images(1), [])
    with pytest.raises(InputError, match="from 0 to 3"):
        direct_paths(model, 4)
    for images in (tiny_images(1)[0], tiny_images(1, image=40), tiny_images(1)[:0]):
        with pytest.raises(InputError, match=r"\[image, 3, 32, 32\] and got"):
            SecondOrderLens(model, 1).effects(images)
    record = trace(model, tiny_images(1), [1, 3])
    for part in (record.coefficients, record.path_weights, record.post_activations):
        with pytest.raises(InputError, match=r"holds layers \[1, 3\]"):
            part(2)
    with pytest.raises(InputError, match="no later attention block"):
        record.coefficients(3)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (torch.zeros(3, 32, 32), r"got \[3, 32, 32\]"),
        (torch.zeros(0, 3, 32, 32), r"got \[0, 3, 32, 32\]"),
        (torch.zeros(1, 3, 40, 32), r"got \[1, 3, 40, 32\]"),
        (torch.zeros(()), r"got \[\]"),
        (np.zeros((1, 3, 32, 32)), "got ndarray"),
        (Image.new("RGB", (32, 32)), "got Image"),
    ],
    ids=["one picture", "no picture", "another size", "a number", "an array", "a picture file"],
)
def test_what_is_no_batch_of_images_is_refused(images: Any, said: str) -> None:
    with pytest.raises(InputError, match=said + ": pass each picture through"):
        SecondOrderLens(tiny_clip(), 1).coefficients(images)


def test_unsupported_models_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="pooling 'avg'"):
        SecondOrderLens(tiny_clip(pool_type="avg"), 1)
    with pytest.raises(UnsupportedModelError, match="is missing"):
        trace(torch.nn.Linear(2, 2), tiny_images(1), [1])
