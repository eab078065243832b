"""Blocks started afresh: what they compute, and that GELU may take ReLU's place at the end."""

import torch
from torch import nn

from explorer.demo.features import embed_tokens
from explorer.demo.fresh import SHARPNESS, exchange_for_gelu, go_on_from, run_blocks, start_afresh
from tests.support.tiny import tiny_clip, tiny_images

FIRST, READ = 1, range(1, 3)


def tower():
    """A tower of 4 blocks of which 1 and 2 are read, with ReLU neurons there."""
    visual = tiny_clip(no_ln_pre=True, layer_scale=True).visual
    for number in READ:
        visual.transformer.resblocks[number].mlp.gelu = nn.ReLU()
    return visual


def entering(visual, images):
    stream = embed_tokens(visual, images)
    for block in visual.transformer.resblocks[:FIRST]:
        stream = block(stream)
    return stream


def test_gelu_in_relus_place_moves_a_neuron_by_less_than_three_hundredths():
    before = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    exchanged = nn.functional.gelu(SHARPNESS * before) / SHARPNESS
    assert 0.02 < (exchanged - before.relu()).abs().max() < 0.03


def test_the_exchange_keeps_what_a_block_writes():
    visual = tower()
    block = visual.transformer.resblocks[1]
    stream = torch.randn(2, 5, 64)
    with torch.no_grad():
        expected = block(stream)
        length = block.ls_2(block.mlp.c_proj.weight.T).norm(dim=1).sum()
        exchange_for_gelu([block])
        block.mlp.gelu = nn.GELU()
        moved = (block(stream) - expected).norm(dim=-1)
    assert 0 < moved.max() < 0.03 * length


def test_terms_sum_to_the_class_token_of_the_whole_tower():
    visual, images = tower(), tiny_images(3)
    with torch.no_grad():
        found = run_blocks(
            visual.transformer.resblocks[FIRST:], FIRST, READ, entering(visual, images)
        )
        read_out = visual.ln_post(found.terms.sum(1)) @ visual.proj
        assert torch.allclose(read_out, visual(images), atol=1e-5)
    assert found.terms.shape == (3, 7, 64)
    assert sorted(found.hidden) == [1, 2]
    assert sorted(found.attention) == [1, 2, 3]
    assert torch.allclose(found.attention[3].sum(-1), torch.ones(3, 4), atol=1e-5)
    assert (found.hidden[1] >= 0).all()


def test_fresh_blocks_start_as_identities_of_scale_and_the_seed_decides():
    first, second = tower(), tower()
    for visual in (first, second):
        start_afresh(visual.transformer.resblocks[2:], torch.Generator().manual_seed(3))
    ours, theirs = first.state_dict(), second.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    block = first.transformer.resblocks[2]
    assert (block.ls_1.gamma == 1).all() and (block.ln_2.bias == 0).all()
    assert 0.03 < block.mlp.c_fc.weight.std() < 0.05
    untouched = tower().transformer.resblocks[1].mlp.c_fc.weight
    assert torch.equal(first.transformer.resblocks[1].mlp.c_fc.weight, untouched)


def test_going_on_takes_a_finished_tower_back_to_relu():
    visual, images = tower(), tiny_images(2)
    with torch.no_grad():
        expected = visual(images)
        exchange_for_gelu(visual.transformer.resblocks[number] for number in READ)
        finished = {f"visual.{n}": w.clone() for n, w in visual.state_dict().items()}
        other = tower()
        start_afresh(other.transformer.resblocks[FIRST:], torch.Generator().manual_seed(0))
        assert not torch.allclose(other(images), expected, atol=1e-2)
        go_on_from(other, finished, range(FIRST, 4), READ)
        assert torch.allclose(other(images), expected, atol=1e-5)
