"""The second stage's run: what moves, what stays, and that a cut-off run goes on exactly."""

import json

import pytest
import torch
from torch import nn

from explorer.demo.objective import ObjectiveSettings, keep_terms
from explorer.demo.readable import rate_at, train_readable
from explorer.demo.threads import ThreadChooser
from tests.demo.toys import toy_run, toy_settings


def weights(run):
    return {name: weight.clone() for name, weight in run.model.visual.state_dict().items()}


def test_a_run_that_was_cut_off_ends_with_the_same_weights(tmp_path):
    whole = train_readable(toy_run(), tmp_path / "whole.pt")
    part = toy_run()
    for _ in range(2):
        part.take_step()
    part.save(tmp_path / "part.pt")
    resumed = train_readable(toy_run(), tmp_path / "part.pt")
    assert sorted(whole) == sorted(resumed)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    finished = train_readable(toy_run(), tmp_path / "part.pt")  # nothing is left to do
    assert all(torch.equal(whole[name], finished[name]) for name in whole)


def test_early_blocks_stay_and_tuned_blocks_wait():
    run = toy_run()
    before = weights(run)
    run.take_step()
    after = weights(run)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any(n.startswith(("conv1", "class_emb", "transformer.resblocks.0.")) for n in moved)
    assert not any(n.startswith("transformer.resblocks.1.") for n in moved)
    assert {"proj", "ln_post.weight", "transformer.resblocks.2.mlp.c_fc.weight"} <= moved
    run.take_step()
    tuned = "transformer.resblocks.1.mlp.c_fc.weight"
    assert not torch.equal(weights(run)[tuned], after[tuned])


def test_every_loss_is_told_and_finite():
    run = toy_run()
    run.take_step()
    losses = run.take_step()
    assert {"naming", "keywords", "looks", "features", "meanings"} <= set(losses)
    for layer in (2, 3, 4):
        assert {f"{kind} {layer}" for kind in ("activity", "selectivity", "second order")} <= set(
            losses
        )
    assert all(value == pytest.approx(value, abs=0) for value in losses.values())


def test_losses_fall_on_a_batch_that_is_seen_again():
    run = toy_run(steps=1000, warm_steps=1, fresh_rate=3e-3)
    totals = []
    for _ in range(25):
        run.step = 2  # the same draws each time
        totals.append(sum(run.take_step().values()))
    assert totals[-1] < 0.8 * totals[0]


def test_the_finished_tower_is_the_averages_with_gelu_and_the_run_stays_as_it_is():
    run = toy_run()
    for _ in range(3):
        run.take_step()
    before = weights(run)
    finished = run.finished_tower()
    assert all(torch.equal(before[name], weight) for name, weight in weights(run).items())
    name = "transformer.resblocks.3.mlp.c_fc.weight"
    assert torch.allclose(finished[name], 6 * run.average["blocks.2.mlp.c_fc.weight"])
    last = "transformer.resblocks.5.mlp.c_fc.weight"  # not read: GELU all along
    assert torch.equal(finished[last], run.average["blocks.4.mlp.c_fc.weight"])
    pixels = torch.randn(2, 3, 28, 28)
    blocks = run.model.visual.transformer.resblocks
    with torch.no_grad():
        run.modules.load_state_dict(run.average, strict=False)
        for layer in (2, 3, 4):
            blocks[layer].mlp.gelu = nn.ReLU()
        expected = run.model.visual(pixels)
        for layer in (2, 3, 4):
            blocks[layer].mlp.gelu = nn.GELU()
        run.model.visual.load_state_dict(finished)
        assert torch.allclose(run.model.visual(pixels), expected, atol=0.3)


def test_a_tower_that_goes_on_starts_where_the_other_ended():
    first = toy_run()
    for _ in range(2):
        first.take_step()
    finished = first.finished_tower()
    settings = toy_settings(again=(2,))
    second = type(first)(
        toy_run().model, first.composer.stock, first.objective.lexicon,
        first.objective.teachers, settings, finished,
    )  # fmt: skip
    state = weights(second)
    fresh, kept = "transformer.resblocks.2.mlp.c_fc.weight", "transformer.resblocks.3.mlp.c_fc.bias"
    assert not torch.equal(state[fresh], finished[fresh] / 6)
    assert torch.allclose(state[kept], finished[kept] / 6)
    assert torch.equal(state["proj"], finished["proj"])


def test_watching_measures_the_finished_tower_and_is_logged(tmp_path, capsys):
    seen = []
    train_readable(toy_run(), tmp_path / "run.pt", lambda tower: seen.append(tower) or {"auc": 0.5})
    assert len(seen) == 2
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if "watch" in line] == [
        {"watch": 2, "auc": 0.5},
        {"watch": 4, "auc": 0.5},
    ]


def test_rates_warm_up_stay_and_fall():
    settings = toy_settings(steps=100, warm_steps=10, fade_steps=40)
    assert rate_at(0, settings) == pytest.approx(0.1)
    assert rate_at(30, settings) == 1
    assert rate_at(80, settings) == pytest.approx(0.5)
    assert rate_at(99, settings) == pytest.approx(0.05)


def test_attention_terms_always_stay():
    settings = ObjectiveSettings(pure=0.3, untouched=0.2, entering_dropout=0.5, mlp_dropout=0.25)
    keep = keep_terms(4000, 7, settings, torch.Generator().manual_seed(0))
    assert (keep[:, 1::2] == 1).all()
    pure = (keep[:, ::2] == 0).all(1).float().mean()
    assert 0.28 < pure < 0.33
    assert keep[:, 0].mean().item() == pytest.approx(0.2 + 0.5 * 0.5, abs=0.03)
    assert keep[:, 2].mean().item() == pytest.approx(0.2 + 0.5 * 0.75, abs=0.03)


def test_the_faster_number_of_threads_is_kept(monkeypatch):
    clock, cost = [0.0], {1: 3.0, 2: 1.0}
    monkeypatch.setattr("explorer.demo.threads.time.perf_counter", lambda: clock[0])
    before = torch.get_num_threads()
    try:
        chooser = ThreadChooser((1, 2))
        used = []
        for step in range(20):
            used.append(chooser.choose(step))
            clock[0] += cost[used[-1]]
        assert used[:6] == [1, 1, 1, 2, 2, 2]
        assert set(used[6:]) == {2}
    finally:
        torch.set_num_threads(before)
