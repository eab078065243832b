"""Heatmaps against materialised effects, the refinement's invariants, baselines against hooks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from explorer.build import build
from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.lens import SecondOrderLens, path_readers, second_order_paths
from explorer.lens.texts import check_texts
from explorer.picture import rivals as relevance
from explorer.picture.heatmaps import direction_maps, grounded, heatmaps
from explorer.picture.maps import (
    aligned_neurons,
    concept_maps,
    refinement,
    text_shares,
    token_vectors,
)
from explorer.picture.methods import METHODS
from explorer.picture.model import LensModel, bare_lens_model, open_lens_model
from explorer.picture.pair_maps import pair_shares
from explorer.picture.reading import Reading, layer_effects, neuron_shares, read
from explorer.picture.refinement import FLOOR, SHARPEST, SURE, Refinement, balance, diffuse
from explorer.picture.rivals import explained_pass
from explorer.picture.settings import MapSettings
from tests.conftest import settings_for
from tests.support.tiny import tiny_clip, tiny_images

TEXTS = ["red circle", "blue square", "triangle"]


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


@pytest.fixture(scope="module")
def lens_model(bundle: Bundle) -> LensModel:
    return open_lens_model(bundle)


@pytest.fixture(scope="module")
def reading(lens_model: LensModel) -> Reading:
    return read(lens_model, tiny_images(3))


@pytest.fixture(scope="module")
def directions(lens_model: LensModel) -> Tensor:
    return lens_model.text_directions(TEXTS)


def centred_effects(reading: Reading, layer: int) -> Tensor:
    """[image, neuron, embed], materialised: effects less the bundle's mean effects."""
    lens_model = reading.lens_model
    lens = SecondOrderLens(lens_model.loaded.model, layer, lens_model.centre)
    usual = torch.einsum("kn,nkp->np", lens_model.means[layer], lens.paths)
    return lens.effects(reading.images) - usual


@pytest.mark.parametrize("centre", [True, False])
@pytest.mark.parametrize("layer_scale", [True, False])
def test_readers_are_the_paths_products_with_a_direction(centre: bool, layer_scale: bool) -> None:
    model = tiny_clip(layer_scale=layer_scale)
    directions = torch.randn(3, 48, generator=torch.Generator().manual_seed(1))
    readers = path_readers(model, directions, centre=centre)
    vectors = model.visual.transformer.resblocks[1].mlp.c_proj.weight.T
    if layer_scale:
        vectors = vectors * model.visual.transformer.resblocks[1].ls_2.gamma
    found = torch.cat([readers[2], readers[3]])  # [path, width, text]
    expected = second_order_paths(model, 1, centre=centre) @ directions.T
    got = torch.einsum("nw,kwx->nkx", vectors, found)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers", [(0, 1, 2), (1,), (0, 2)])
def test_shares_of_all_tokens_sum_to_the_effect_along_the_text(
    reading: Reading, directions: Tensor, layers: tuple[int, ...]
) -> None:
    shares = text_shares(reading, directions, MapSettings(layers=layers))
    total = sum(centred_effects(reading, layer).sum(dim=1) for layer in layers)
    torch.testing.assert_close(shares.sum(dim=2), total @ directions.T, rtol=1e-4, atol=1e-5)


def test_each_share_is_that_tokens_part_of_the_coefficients(
    reading: Reading, directions: Tensor
) -> None:
    lens_model, layer = reading.lens_model, 1
    lens = SecondOrderLens(lens_model.loaded.model, layer)
    coefficients = lens.token_coefficients(reading.images)
    weights = reading.trace.path_weights(layer)
    usual = lens_model.means[layer] / weights.sum(dim=2)[..., None]
    coefficients = coefficients - weights[..., None] * usual[:, :, None]
    expected = torch.einsum("iktn,nkp,xp->ixt", coefficients, lens.paths, directions)
    got = text_shares(reading, directions, MapSettings(layers=(layer,)))
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_chosen_neurons_shares_sum_to_their_effects(reading: Reading, directions: Tensor) -> None:
    lens_model, count = reading.lens_model, 17
    shares = text_shares(reading, directions, MapSettings(layers=(0, 1, 2), neurons=count))
    everything = torch.cat([lens_model.directions[layer] for layer in (0, 1, 2)])
    effects = torch.cat([centred_effects(reading, layer) for layer in (0, 1, 2)], dim=1)
    for text, direction in enumerate(directions):
        best = torch.argsort(everything @ direction, descending=True)[:count]
        expected = effects[:, best].sum(dim=1) @ direction
        torch.testing.assert_close(shares[:, text].sum(dim=1), expected, rtol=1e-4, atol=1e-5)


def test_all_neurons_chosen_one_by_one_give_the_same_map(
    reading: Reading, directions: Tensor
) -> None:
    whole = text_shares(reading, directions, MapSettings(layers=(1, 2)))
    one_by_one = text_shares(reading, directions, MapSettings(layers=(1, 2), neurons=256))
    torch.testing.assert_close(one_by_one, whole, rtol=1e-4, atol=1e-5)


def test_heatmaps_are_the_patches_shares(reading: Reading, lens_model: LensModel) -> None:
    maps = heatmaps(read(lens_model, reading.images), TEXTS)
    shares = text_shares(reading, lens_model.text_directions(TEXTS))
    assert maps.shape == (3, 3, 4, 4)
    assert maps.dtype == torch.float32
    torch.testing.assert_close(maps.flatten(2), shares[:, :, 1:])


def test_neuron_shares_sum_to_the_effect_along_its_own_direction(reading: Reading) -> None:
    lens_model, layer, neurons = reading.lens_model, 1, [3, 77, 0]
    effects = centred_effects(reading, layer)
    expected = (effects * lens_model.directions[layer]).sum(dim=2)
    torch.testing.assert_close(layer_effects(reading, layer), expected, rtol=1e-3, atol=1e-5)
    shares = neuron_shares(reading, layer, neurons)
    assert shares.shape == (3, 3, 17)
    torch.testing.assert_close(shares.sum(dim=2), expected[:, neurons], rtol=1e-3, atol=1e-5)


def test_one_neurons_share_is_its_part_of_a_text_map(reading: Reading) -> None:
    lens_model = reading.lens_model
    direction = lens_model.directions[2][5]
    chosen = aligned_neurons(lens_model, direction[None], (2,), 1)
    assert chosen[0][2].tolist() == [5]
    one = text_shares(reading, direction[None], MapSettings(layers=(2,), neurons=1))
    torch.testing.assert_close(one, neuron_shares(reading, 2, [5]), rtol=1e-3, atol=1e-6)


def test_vectors_of_all_tokens_sum_to_the_effect(reading: Reading) -> None:
    vectors = token_vectors(reading, MapSettings(layers=(0, 2)))
    total = sum(centred_effects(reading, layer).sum(dim=1) for layer in (0, 2))
    torch.testing.assert_close(vectors.sum(dim=1), total, rtol=1e-4, atol=1e-5)
    assert token_vectors(reading, MapSettings(layers=(2, 0))) is vectors  # kept for further texts


@pytest.mark.parametrize("layers", ["0", "0,2"])
def test_a_bundle_need_not_have_every_layer_to_the_last(
    tmp_path: Path, tiny_model: Path, tiny_store: Path, layers: str
) -> None:
    settings = settings_for(tmp_path / "some", tiny_model, tiny_store, layers=layers, nulls=50)
    build(settings, progress=lambda line: None)
    reading = read(open_lens_model(Bundle.open(tmp_path / "some")), tiny_images(3))
    asked = tuple(int(layer) for layer in layers.split(","))
    vectors = token_vectors(reading, MapSettings(layers=asked))
    total = sum(centred_effects(reading, layer).sum(dim=1) for layer in asked)
    torch.testing.assert_close(vectors.sum(dim=1), total, rtol=1e-4, atol=1e-5)


def test_spreading_keeps_sums_and_is_symmetric(reading: Reading) -> None:
    affinity = reading.affinity
    ones = torch.ones(3, 16)
    torch.testing.assert_close(affinity.sum(dim=1), ones)
    torch.testing.assert_close(affinity.sum(dim=2), ones)
    torch.testing.assert_close(affinity, affinity.transpose(1, 2))
    assert (affinity >= 0).all()
    patches = torch.randn(3, 2, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(diffuse(patches, affinity).sum(dim=2), patches.sum(dim=2))


def test_concept_maps_are_spread_shares(reading: Reading, directions: Tensor) -> None:
    shares = text_shares(reading, directions)[1, :, 1:]
    expected = shares @ reading.affinity[1]
    torch.testing.assert_close(concept_maps(reading, directions, 1), expected)


def test_refined_maps_are_made_of_shares_alone(reading: Reading, lens_model: LensModel) -> None:
    turned = lens_model.towards_pictures(lens_model.text_directions(TEXTS))
    affinity = reading.affinity
    spread = affinity @ token_vectors(reading)[:, 1:]
    along = spread @ turned.T
    norms = spread.norm(dim=2)
    found = heatmaps(reading, TEXTS, settings=MapSettings(refine=True)).flatten(2)
    for image in range(3):
        for text in range(len(TEXTS)):
            share = along[image, :, text]
            place = int(share.argmax())
            exponent = min(max(SURE * float(norms[image, place] / share[place]), 1), SHARPEST)
            floor = FLOOR * norms[image] / norms[image].max()
            raised = (share.clamp(min=0) / share[place] + floor) / (1 + FLOOR)
            expected = share[place] * raised**exponent
            torch.testing.assert_close(found[image, text], expected, rtol=1e-3, atol=1e-6)


def test_an_unsure_map_is_drawn_to_its_peak_in_the_same_order() -> None:
    vectors = torch.tensor([[[1.0, 0.0], [0.5, 0.0], [0.0, 1.0]]])
    directions = torch.tensor([[1.0, 0.0], [0.1, 0.0]])  # the second hardly agrees with anything
    how = Refinement.of(vectors, torch.eye(3)[None], directions)
    assert how.exponents.tolist() == [[1.0, pytest.approx(SURE / 0.1)]]
    assert how.presence.tolist() == [[1.0, 0.5, 1.0]]
    same = torch.tensor([[[2.0, 1.0, -1.0], [2.0, 1.0, -1.0]]])
    sure, unsure = how.apply(same)[0]
    assert sure[0] == pytest.approx(2) == unsure[0]
    assert (unsure[1:] < sure[1:]).all()
    assert unsure.argsort().tolist() == sure.argsort().tolist() == [2, 1, 0]
    assert sure[1] == pytest.approx(2 * (0.5 + FLOOR * 0.5) / (1 + FLOOR))


def test_maps_without_a_positive_value_are_empty() -> None:
    nothing = torch.zeros(1, 3, 2)
    how = Refinement.of(nothing, torch.eye(3)[None], torch.eye(2))
    for patches in (torch.zeros(1, 2, 3), -torch.ones(1, 2, 3)):
        assert torch.equal(how.apply(patches), torch.zeros(1, 2, 3))


def test_refinement_takes_every_method_alike(reading: Reading, lens_model: LensModel) -> None:
    turned = lens_model.towards_pictures(lens_model.text_directions(TEXTS))
    how = refinement(reading, turned)
    for method in ("textspan", "second-order"):
        plain = direction_maps(reading, turned, method).flatten(2)
        found = heatmaps(reading, TEXTS, method, MapSettings(refine=True))
        torch.testing.assert_close(found.flatten(2), how.apply(plain))


def test_fine_maps_average_what_moved_pictures_give(lens_model: LensModel) -> None:
    images = tiny_images(2)
    settings = MapSettings(refine=True, fine=True)
    found = heatmaps(read(lens_model, images), TEXTS, settings=settings)
    assert found.shape == (2, 3, 8, 8)
    once = MapSettings(refine=True)
    still = heatmaps(read(lens_model, images), TEXTS, settings=once)
    half = images.shape[2] // 8
    padded = torch.nn.functional.pad(images, (half, half, half, half), mode="replicate")

    def moved(down: int, right: int) -> Tensor:
        top, left = half * (1 + down), half * (1 + right)
        seen = padded[:, :, top : top + 8 * half, left : left + 8 * half]
        return heatmaps(read(lens_model, seen), TEXTS, settings=once)

    parts = {(i, j): moved(i, j) for i in (0, 1) for j in (0, 1)}
    # the half patch at (5, 4): lower half of patch row 2, left half of patch column 2
    expected = (
        parts[0, 0][..., 2, 2] + parts[1, 0][..., 2, 2]
        + parts[0, 1][..., 2, 1] + parts[1, 1][..., 2, 1]
    ) / 4  # fmt: skip
    torch.testing.assert_close(found[..., 5, 4], expected, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(parts[0, 0], still)
    reading = read(lens_model, images)
    torch.testing.assert_close(heatmaps(reading, TEXTS, settings=settings), found)


def test_balancing_keeps_what_is_balanced() -> None:
    kernel = torch.tensor([[[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.3, 0.6]]])
    torch.testing.assert_close(balance(kernel), kernel)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("refine", [False, True])
def test_maps_do_not_depend_on_the_batch(
    reading: Reading, lens_model: LensModel, method: str, refine: bool
) -> None:
    few = 20 if method in ("activation", "competing") else None  # the tiny model has 128 a layer
    settings = MapSettings(refine=refine, neurons=few)
    whole = heatmaps(read(lens_model, reading.images), TEXTS, method, settings)
    assert whole.shape == (3, 3, 4, 4)
    alone = heatmaps(read(lens_model, reading.images[1:2]), TEXTS[2:], method, settings)
    torch.testing.assert_close(alone[0, 0], whole[1, 2], rtol=1e-3, atol=1e-5)
    blind = method in ("attention", "rollout") and not refine  # how sure a text is depends on it
    assert torch.allclose(whole[:, 0], whole[:, 1]) == blind
    from_reading = heatmaps(reading, TEXTS, method, settings)
    torch.testing.assert_close(from_reading, whole)


def test_activation_rule_is_the_mean_activation_of_aligned_neurons(
    reading: Reading, lens_model: LensModel, directions: Tensor
) -> None:
    found = heatmaps(reading, TEXTS, "activation", MapSettings(layers=(0, 2), neurons=9))
    everything = torch.cat([lens_model.directions[0], lens_model.directions[2]])
    activations = torch.cat([reading.trace.activations[n] for n in (0, 2)], dim=2)
    best = torch.argsort(everything @ directions[1], descending=True)[:9]
    expected = activations[:, 1:, best].mean(dim=2)
    torch.testing.assert_close(found[:, 1].flatten(1), expected)


def test_explained_pass_is_the_models_own_pass() -> None:
    model = tiny_clip(layer_scale=True)
    images = tiny_images(2)
    found = explained_pass(model, images)
    torch.testing.assert_close(found.representation, model.visual(images), rtol=1e-4, atol=1e-5)
    seen: list[Tensor] = []
    blocks = model.visual.transformer.resblocks
    hook = blocks[-1].attn.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    model.visual(images)
    hook.remove()
    with torch.no_grad():
        _, weights = blocks[-1].attn(seen[0], seen[0], seen[0], average_attn_weights=False)
    torch.testing.assert_close(found.attention[-1], weights, rtol=1e-4, atol=1e-6)
    rows = relevance.attention(found, torch.eye(48)[:1])
    torch.testing.assert_close(rows[:, 0], weights[:, :, 0, 1:].mean(dim=1))


def test_textspan_sums_to_what_attention_adds() -> None:
    """All tokens' direct contributions: the output's change when attention outputs are taken off.

    With the last LayerNorm's statistics held, the heads add their outputs less the biases.
    """
    model = tiny_clip()
    images = tiny_images(2)
    added: list[Tensor] = []
    last: list[Tensor] = []
    hooks = [
        block.attn.register_forward_hook(
            lambda module, args, output: added.append(output[0][:, 0] - module.out_proj.bias)
        )
        for block in model.visual.transformer.resblocks
    ]
    hooks.append(model.visual.ln_post.register_forward_pre_hook(lambda m, a: last.append(a[0])))
    model.visual(images)
    for hook in hooks:
        hook.remove()
    stream = last[0][:, 0] if last[0].ndim == 3 else last[0]
    moved = torch.stack(added).sum(dim=0)
    moved = (moved - moved.mean(dim=1, keepdim=True)) / stream.std(dim=1, unbiased=False)[:, None]
    expected = (moved * model.visual.ln_post.weight) @ model.visual.proj
    found = explained_pass(model, images)
    direction = torch.randn(1, 48, generator=torch.Generator().manual_seed(3))
    patches = relevance.textspan(found, direction).sum(dim=2)
    class_token = sum(
        torch.einsum(
            "if,fp->ip",
            moved_by[:, 0].flatten(1),
            block.attn.out_proj.weight.T,
        )
        for moved_by, block in zip(
            found.contributions, model.visual.transformer.resblocks, strict=True
        )
    )
    class_token = class_token - class_token.mean(dim=1, keepdim=True)
    class_token = class_token / stream.std(dim=1, unbiased=False)[:, None]
    own = (class_token * model.visual.ln_post.weight) @ model.visual.proj @ direction.T
    torch.testing.assert_close(patches + own, expected @ direction.T, rtol=1e-3, atol=1e-4)


def test_relevance_and_legrad_agree_with_plain_loops() -> None:
    model = tiny_clip(layers=2)
    images = tiny_images(1)
    found = explained_pass(model, images)
    direction = torch.nn.functional.normalize(torch.randn(1, 48), dim=1)
    with torch.enable_grad():
        score = found.scores(direction)[0, 0]
    first, second = torch.autograd.grad(score, found.attention, retain_graph=True)

    def weighted(block: int, gradient: Tensor) -> Tensor:
        heads = range(gradient.shape[1])
        parts = [(gradient[0, h] * found.attention[block][0, h]).relu() for h in heads]
        return torch.stack(parts).mean(dim=0)

    one = torch.eye(17) + weighted(0, first)
    total = one + weighted(1, second) @ one
    torch.testing.assert_close(relevance.relevance(found, direction)[0, 0], total[0, 1:])

    rows = []
    for block in (0, 1):
        with torch.enable_grad():
            pooled = model.visual.ln_post(found.streams[block][0].mean(dim=0)) @ model.visual.proj
            cosine = torch.nn.functional.cosine_similarity(pooled, direction[0], dim=0)
        (gradient,) = torch.autograd.grad(cosine, found.attention[block], retain_graph=True)
        rows.append(gradient[0].relu().mean(dim=0).mean(dim=0)[1:])
    torch.testing.assert_close(relevance.legrad(found, direction)[0, 0], rows[0] + rows[1])


def test_rollout_is_a_product_of_half_steps() -> None:
    found = explained_pass(tiny_clip(), tiny_images(1))
    joint = torch.eye(17)
    for probabilities in found.attention:
        joint = (probabilities[0].mean(dim=0) + torch.eye(17)) / 2 @ joint
    got = relevance.rollout(found, torch.eye(48)[:2])
    torch.testing.assert_close(got[0, 1], joint[0, 1:])


def test_grad_cam_weighs_channels_by_their_mean_gradient() -> None:
    found = explained_pass(tiny_clip(), tiny_images(1))
    direction = torch.eye(48)[:1]
    with torch.enable_grad():
        score = found.scores(direction)[0, 0]
    (gradient,) = torch.autograd.grad(score, found.last_read, retain_graph=True)
    expected = (found.last_read[0, 1:] @ gradient[0, 1:].mean(dim=0)).relu()
    torch.testing.assert_close(relevance.grad_cam(found, direction)[0, 0], expected)


def test_a_model_without_a_bundle_has_maps_too(lens_model: LensModel) -> None:
    bare = bare_lens_model(lens_model.loaded)
    assert bare.layers == (0, 1, 2)
    maps = heatmaps(read(bare, tiny_images(1)), ["red"], settings=MapSettings(refine=True))
    assert maps.abs().sum() > 0
    assert bare.later_layers == (2,)
    assert bare_lens_model(lens_model.loaded, [0]).later_layers == (0,)


def test_a_bundle_is_opened_once(bundle: Bundle, lens_model: LensModel) -> None:
    assert open_lens_model(bundle) is lens_model


def test_a_bundle_and_its_model_share_the_atoms(bundle: Bundle, lens_model: LensModel) -> None:
    atoms = bundle.dictionary.atoms()
    assert open_lens_model(bundle).dictionary.data_ptr() == atoms.ctypes.data
    assert (atoms == bundle.dictionary.centre(bundle.text_embeddings)).all()


def test_texts_are_centred_by_the_dictionarys_mean(bundle: Bundle, lens_model: LensModel) -> None:
    text = bundle.texts[3]
    expected = bundle.text_embeddings[3].astype("float32") - bundle.text_mean
    found = lens_model.text_directions([f"  {text} "])[0].numpy()
    assert abs(found @ expected / (expected @ expected) ** 0.5 - 1) < 1e-3


@pytest.mark.parametrize(
    ("texts", "said"),
    [([], "at least one"), (["a", " "], "no empty one"), ("dog", "in a list"),
     (["x" * 300], "too long"), (["a"] * 65, "too many")],
)  # fmt: skip
def test_texts_that_cannot_be_looked_for(texts: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_texts(texts)


def test_bad_settings_are_one_sentence(lens_model: LensModel, reading: Reading) -> None:
    with pytest.raises(InputError, match="no heatmap method 'magic'"):
        heatmaps(reading, TEXTS, "magic")
    with pytest.raises(InputError, match="choose 1 or more"):
        MapSettings(neurons=0)
    with pytest.raises(InputError, match="Layer 3 is not among"):
        heatmaps(reading, TEXTS, settings=MapSettings(layers=(3,)))
    with pytest.raises(InputError, match="at least one layer"):
        heatmaps(reading, TEXTS, settings=MapSettings(layers=()))
    with pytest.raises(InputError, match="Layer 9"):
        neuron_shares(reading, 9, [0])
    with pytest.raises(InputError, match="at least one picture"):
        read(lens_model, [])


def test_activation_maps_start_at_their_lowest_patch_and_shares_at_nothing(
    lens_model: LensModel, reading: Reading
) -> None:
    maps = heatmaps(reading, TEXTS, "activation", MapSettings(neurons=9))
    assert (maps < 0).any()  # as GELU leaves them: clamping would erase these patches' order
    lifted = grounded(maps, "activation")
    assert torch.equal(lifted.amin(dim=(2, 3)), torch.zeros(3, 3))
    assert torch.equal(lifted.flatten(2).argsort(dim=2), maps.flatten(2).argsort(dim=2))
    shares = heatmaps(reading, TEXTS)
    assert torch.equal(grounded(shares, "second-order"), shares)


# --- pairs of neurons and heads -------------------------------------------------------------------


def test_pairs_shares_sum_to_the_effects_of_the_pairs_nearest_to_the_text(
    reading: Reading, directions: Tensor
) -> None:
    lens_model, layers, count = reading.lens_model, (0, 2), 40
    shares = pair_shares(reading, directions, MapSettings(layers=layers, neurons=count))
    lenses = [SecondOrderLens(lens_model.loaded.model, layer) for layer in layers]
    effects = [
        (lens.coefficients(reading.images) - lens_model.means[layer])[..., None]
        * lens.paths.transpose(0, 1)
        for lens, layer in zip(lenses, layers, strict=True)
    ]
    for text, direction in enumerate(directions):
        cosines = torch.cat([(lens.pairs.directions @ direction).flatten() for lens in lenses])
        kept = torch.zeros_like(cosines, dtype=torch.bool)
        kept[cosines.argsort(descending=True)[:count]] = True
        parts = torch.cat([e.transpose(1, 2).flatten(1, 2) @ direction for e in effects], dim=1)
        expected = (parts * kept).sum(dim=1)
        torch.testing.assert_close(shares[:, text].sum(dim=1), expected, rtol=1e-3, atol=1e-4)


def test_all_pairs_give_the_map_of_all_neurons(reading: Reading, directions: Tensor) -> None:
    settings = MapSettings(layers=(1, 2), neurons=10**6)
    whole = text_shares(reading, directions, MapSettings(layers=(1, 2)))
    torch.testing.assert_close(
        pair_shares(reading, directions, settings), whole, rtol=1e-3, atol=1e-5
    )
