"""The effects in the losses are the lens's own; the losses do what their names say."""

import pytest
import torch
from torch import nn

from explorer.demo.effects import (
    coefficients,
    layer_paths,
    neuron_effects,
    readout,
    summed_effects,
)
from explorer.demo.features import embed_tokens
from explorer.demo.fresh import run_blocks
from explorer.demo.reading_losses import (
    activity_loss,
    agreement_loss,
    naming_loss,
    selectivity_loss,
)
from explorer.lens import SecondOrderLens
from tests.support.tiny import tiny_clip, tiny_images

LAYER = 1


@pytest.fixture(scope="module")
def seen():
    """Effects by the recipe and by the lens: (coefficients, paths, pass, lens, images)."""
    model = tiny_clip(no_ln_pre=True, layer_scale=True)
    visual, images = model.visual, tiny_images(3)
    blocks = visual.transformer.resblocks
    for number in (1, 2):
        blocks[number].mlp.gelu = nn.ReLU()
    with torch.no_grad():
        stream = blocks[0](embed_tokens(visual, images))
        found = run_blocks(blocks[1:], 1, range(1, 3), stream)
        output = readout(visual.ln_post, visual.proj)
        paths = layer_paths(blocks[LAYER], blocks[LAYER + 1 :], output)
        answers = coefficients(found, LAYER)
    return answers, paths, found, SecondOrderLens(model, LAYER), images


def sigma_post(found):
    return found.terms.sum(1).var(-1, unbiased=False).add(1e-5).sqrt()


def test_summed_effects_are_the_lenss_summed_over_neurons(seen):
    answers, paths, found, lens, images = seen
    expected = lens.effects(images).sum(1) * sigma_post(found)[:, None]
    assert torch.allclose(summed_effects(answers, paths), expected, atol=1e-3, rtol=1e-3)


def test_left_out_neurons_have_no_part_in_the_sum(seen):
    answers, paths, found, lens, images = seen
    keep = (torch.arange(answers.shape[2]) % 3 == 0).float()
    expected = lens.effects(images)[:, ::3].sum(1) * sigma_post(found)[:, None]
    assert torch.allclose(summed_effects(answers, paths, keep), expected, atol=1e-3, rtol=1e-3)


def test_single_neurons_effects_are_the_lenss(seen):
    answers, paths, found, lens, images = seen
    chosen = torch.tensor([200, 3, 77])
    expected = lens.effects(images)[:, chosen] * sigma_post(found)[:, None, None]
    assert torch.allclose(neuron_effects(answers, paths, chosen), expected, atol=1e-4, rtol=1e-3)


def test_effects_of_some_tokens_are_the_lenss_of_these_tokens(seen):
    _, paths, found, lens, images = seen
    tokens = torch.zeros(3, 17)
    tokens[:, 4:9] = 1
    by_token = lens.token_coefficients(images)[:, :, 4:9].sum(2)
    expected = torch.einsum("bkn,nkp->bp", by_token, lens.paths) * sigma_post(found)[:, None]
    answers = coefficients(found, LAYER, tokens)
    assert torch.allclose(summed_effects(answers, paths), expected, atol=1e-3, rtol=1e-3)


def test_every_write_vector_learns_from_the_sum(seen):
    _, _, found, _, _ = seen
    visual = tiny_clip(no_ln_pre=True, layer_scale=True).visual
    blocks = visual.transformer.resblocks
    paths = layer_paths(blocks[LAYER], blocks[LAYER + 1 :], readout(visual.ln_post, visual.proj))
    summed_effects(coefficients(found, LAYER), paths).square().sum().backward()
    gradient = blocks[LAYER].mlp.c_proj.weight.grad
    active = found.hidden[LAYER].amax((0, 1)) > 0
    assert (gradient.norm(dim=0)[active] > 0).all()


def test_selectivity_is_one_over_the_batch_for_a_neuron_of_one_picture():
    hidden = torch.zeros(8, 5, 1)
    hidden[3, 2] = 0.7
    assert selectivity_loss(hidden).item() == pytest.approx(1 / 8, abs=2e-3)


def test_selectivity_is_one_for_a_neuron_that_answers_to_all_alike():
    assert selectivity_loss(torch.full((8, 5, 3), 0.4)).item() == pytest.approx(1)


def test_silent_neurons_have_no_say_in_selectivity():
    hidden = torch.full((4, 5, 2), 0.4)
    hidden[..., 1] = 1e-4
    assert selectivity_loss(hidden).item() == pytest.approx(1)


def test_selectivity_has_the_gradient_of_its_plain_formula():
    hidden = torch.rand(4, 5, 6, dtype=torch.float32).requires_grad_()
    selectivity_loss(hidden).backward()
    plain = hidden.detach().clone().requires_grad_()
    answer = plain.square().mean(1).add(1e-8).sqrt()
    (answer.sum(0).square() / answer.square().sum(0) / 4).mean().backward()
    assert torch.allclose(hidden.grad, plain.grad, atol=1e-6)


def test_activity_is_the_summed_length_of_what_is_written():
    hidden = torch.tensor([[[1.0, 2.0], [0.0, 1.0]]])
    loss = activity_loss(hidden, torch.tensor([3.0, 1.0]), torch.tensor([[10.0, 5.0]]))
    assert loss.item() == pytest.approx((5 / 10 + 1 / 5) / 2)


def test_effects_that_point_to_their_names_name_them():
    meanings = torch.eye(4)
    label = torch.arange(4)
    nothing = torch.zeros(4, 4, dtype=torch.bool)
    right = naming_loss(10 * meanings + 3, meanings, label, nothing, 0.06)
    wrong = naming_loss(10 * meanings[[1, 2, 3, 0]] + 3, meanings, label, nothing, 0.06)
    assert right < 1e-3
    assert wrong > 1
    ignored = ~torch.eye(4, dtype=torch.bool)
    alone = naming_loss(10 * meanings[[1, 2, 3, 0]], meanings, label, ignored, 0.06)
    assert alone.item() == pytest.approx(0, abs=1e-6)


def test_agreement_weighs_the_pictures_that_drive_a_neuron():
    torch.manual_seed(0)
    meanings = nn.functional.normalize(torch.randn(6, 5), dim=-1)
    effects = torch.randn(6, 3, 5)
    centred = effects - effects.mean(0)
    shares = []
    for neuron in range(3):
        lengths = [float(row.norm()) for row in centred[:, neuron]]
        cosines = [
            float(torch.cosine_similarity(row, meaning, dim=0))
            for row, meaning in zip(centred[:, neuron], meanings, strict=True)
        ]
        weighted = sum(length**2 * cosine for length, cosine in zip(lengths, cosines, strict=True))
        shares.append(weighted / sum(length**2 for length in lengths))
    expected = 1 - sum(shares) / 3
    assert agreement_loss(effects, meanings).item() == pytest.approx(expected, abs=1e-5)


def test_agreement_is_nothing_where_effects_and_meanings_are_one():
    meanings = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    assert agreement_loss(5 * meanings[:, None], meanings).item() == pytest.approx(0, abs=1e-6)
