"""The one lens pass against effects that are formed in full, and ablations against hooks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from explorer.evidence.context import Context
from explorer.evidence.lenspass import LayerView, PassBatch, Replacement
from explorer.evidence.measures import ablation, effects, fit, rank, selectivity, texts
from explorer.evidence.reference import corpus_pixels, further_ranks
from explorer.evidence.work import stream
from explorer.lens import trace, write_vectors
from explorer.lens.direct import direct_paths
from explorer.lens.interventions import recompute, streams
from tests.support.direct import direct_effects
from tests.support.evidence import batch_of, centred_effects, context_of, plain_ranks
from tests.support.tiny import tiny_clip, tiny_images

CLOSE = {"rtol": 1e-4, "atol": 2e-5}


@pytest.fixture(scope="module")
def context(tiny_bundle: Path) -> Context:
    return context_of(tiny_bundle)


@pytest.fixture(scope="module")
def batch(context: Context) -> PassBatch:
    return batch_of(context)


def formed(context: Context) -> list[torch.Tensor]:
    return [centred_effects(context, layer) for layer in context.layers]


def test_sums_norms_and_projections_are_those_of_the_formed_effects(
    context: Context, batch: PassBatch
) -> None:
    for view, whole in zip(batch.views, formed(context), strict=True):
        torch.testing.assert_close(view.total, whole.sum(1), **CLOSE)
        torch.testing.assert_close(view.by_path.sum(0), whole.sum(1), **CLOSE)
        torch.testing.assert_close(view.norms, whole.norm(dim=2), **CLOSE)
        directions = view.tables.directions
        torch.testing.assert_close(
            view.signed, torch.einsum("ine,ne->in", whole, directions), **CLOSE
        )
        strong = (whole.norm(dim=2) >= view.tables.threshold) & (view.tables.threshold > 0)
        edge = ((whole.norm(dim=2) / view.tables.threshold) - 1).abs() < 1e-4
        assert torch.equal(view.significant | edge, strong | edge)


def plain_leads(context: Context, changed: Tensor, batch: PassBatch) -> list[float]:
    """What a change adds to the product with the own label, beyond its mean over candidates."""
    found = []
    for place, after in enumerate(changed):
        products = context.judge.texts @ (after - batch.representation[place])
        answer = int(context.evaluation.answers[batch.images.start + place])
        found.append(float(products[answer] - products.mean()))
    return found


def test_ablation_takes_the_formed_effects_away(context: Context, batch: PassBatch) -> None:
    context.probes["ablation"] = probe = ablation.probe(context)
    found = probe.take(batch)
    every = torch.zeros_like(batch.representation)
    for place, whole in enumerate(formed(context)):
        every += whole.sum(1)
        changed = batch.representation - whole.sum(1)
        assert found["ranks"][:, place, 0].tolist() == plain_ranks(context, changed)
        cosines = torch.nn.functional.cosine_similarity(changed, batch.representation)
        np.testing.assert_allclose(found["cosines"][:, place, 0], cosines, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(
            found["leads"][:, place, 0], plain_leads(context, changed, batch), rtol=1e-3, atol=1e-5
        )
    last = plain_ranks(context, batch.representation - every)
    assert found["ranks"][:, -1, 0].tolist() == last
    assert found["full"].tolist() == plain_ranks(context, batch.representation)


def test_direct_effects_are_taken_away_about_the_samples_mean(
    context: Context, batch: PassBatch
) -> None:
    """The mean over the sample, from the direct effects themselves."""
    reference, model = context.reference, context.loaded.model
    assert len(reference.images) == 20
    pixels = context.evaluation.pixels(context.loaded, range(len(context.evaluation)))
    sample = corpus_pixels(context.bundle, context.loaded, reference.images)
    for view in batch.views:
        mean = direct_effects(model, sample, view.layer).mean(0)
        wanted = (direct_effects(model, pixels, view.layer) - mean).sum(1)
        writes = direct_paths(model, view.layer)
        found = ablation.first_order_total(view, reference.direct[view.layer], writes)
        torch.testing.assert_close(found, wanted, **CLOSE)


@pytest.mark.parametrize("layer_scale", [False, True])
def test_indirect_ablation_is_a_hook_on_the_activations(layer_scale: bool) -> None:
    model = tiny_clip(layer_scale=layer_scale)
    pixels = tiny_images(3)
    layers = [0, 2, 3]
    found = streams(model, pixels, layers)
    with torch.no_grad():
        plain = model.visual(pixels)
    torch.testing.assert_close(found.representation, plain)
    for layer in layers:
        mlp = model.visual.transformer.resblocks[layer].mlp
        mean = torch.randn(17, 256, generator=torch.Generator().manual_seed(layer))
        stream_after = ablation.ablated(
            found.outputs[layer],
            found.activations[layer],
            mean,
            write_vectors(model, layer, centre=False),
        )
        hook = mlp.c_proj.register_forward_pre_hook(
            lambda module, args, m=mean: m.expand(3, 17, 256)
        )
        try:
            with torch.no_grad():
                wanted = model.visual(pixels)
        finally:
            hook.remove()
        torch.testing.assert_close(recompute(model, layer, stream_after), wanted, **CLOSE)
        assert not mlp.c_proj._forward_pre_hooks
        assert (wanted - plain).abs().max() > 1e-3


def test_no_hook_is_left_after_an_error() -> None:
    model = tiny_clip()
    with pytest.raises(RuntimeError):
        streams(model, torch.zeros(1, 3, 5, 5), [0])
    block = model.visual.transformer.resblocks[0]
    assert not block._forward_hooks
    assert not block.mlp.c_proj._forward_pre_hooks


def test_means_of_activations_are_those_of_the_sample(context: Context) -> None:
    sample = corpus_pixels(context.bundle, context.loaded, context.reference.images)
    record = trace(context.loaded.model, sample, context.layers)
    for layer in context.layers:
        activations = record.post_activations(layer)
        torch.testing.assert_close(
            context.reference.activations[layer], activations.mean(0), **CLOSE
        )
        for place, (of, neuron) in enumerate(context.kind_neurons):
            if of == layer:
                wanted = activations[..., neuron].amax(1)
                np.testing.assert_allclose(
                    context.reference.peaks[:, place], wanted, rtol=1e-4, atol=1e-5
                )


def test_keeping_and_ablating_significant_effects(context: Context, batch: PassBatch) -> None:
    for view, whole in zip(batch.views, formed(context), strict=True):
        mask = view.significant[..., None]
        found = selectivity.selected(view, seed=0)
        total = whole.sum(1)
        torch.testing.assert_close(found[0], -total, **CLOSE)
        torch.testing.assert_close(found[1], -(whole * ~mask).sum(1), **CLOSE)
        torch.testing.assert_close(found[2], -(whole * mask).sum(1), **CLOSE)
        chance = selectivity.random_mask(view.significant, 0, view.layer, 0)
        assert chance.sum(1).tolist() == view.significant.sum(1).tolist()
        torch.testing.assert_close(found[3], -(whole * ~chance[..., None]).sum(1), **CLOSE)
        torch.testing.assert_close(found[4], -(whole * chance[..., None]).sum(1), **CLOSE)
        for change, part in zip(found[5:], selectivity.LOWERED, strict=True):
            reached = (view.norms >= part * view.tables.threshold)[..., None]
            torch.testing.assert_close(change, -(whole * ~reached).sum(1), **CLOSE)


def test_a_random_mask_does_not_depend_on_the_batch() -> None:
    mask = torch.rand(4, 50) < 0.3
    whole = selectivity.random_mask(mask, 1, 2, 10)
    part = selectivity.random_mask(mask[2:], 1, 2, 12)
    assert torch.equal(whole[2:], part)
    assert not torch.equal(whole, mask)
    assert not torch.equal(whole, selectivity.random_mask(mask, 2, 2, 10))


def test_projections_keep_what_lies_along_the_directions(
    context: Context, batch: PassBatch
) -> None:
    for view, whole in zip(batch.views, formed(context), strict=True):
        further = context.reference.ranks[view.layer]
        gains = torch.einsum("kne,rne->rkn", view.tables.paths, further)
        found = rank.projected(view, further, gains)
        kept = torch.zeros_like(whole)
        for place, directions in enumerate([view.tables.directions, *further], start=1):
            along = torch.einsum("ine,ne->in", whole, directions)
            kept += along[..., None] * directions
            torch.testing.assert_close(found[place], (kept - whole).sum(1), **CLOSE)
        torch.testing.assert_close(found[0], -whole.sum(1), **CLOSE)


def test_further_directions_are_the_next_singular_vectors(context: Context) -> None:
    """Against a decomposition of the formed effects with the own direction taken out."""
    table = context.tables[1]
    pixels = torch.randn(9, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    record = trace(context.loaded.model, pixels, [1])
    view = LayerView(table, record, slice(0, 9))
    whitened = torch.bmm(view.by_neuron, table.whitening[0])
    found = further_ranks(table, whitened.mT @ whitened)
    effects_of = torch.einsum("ikn,kne->nie", view.delta, table.paths).double()
    checked = 0
    for neuron in range(0, 128, 7):
        own = table.directions[neuron].double()
        outside = effects_of[neuron] - (effects_of[neuron] @ own)[:, None] * own
        _, values, vectors = torch.linalg.svd(outside)
        if values[1] < 1.05 * values[2] or values[0] < 1.05 * values[1]:
            continue  # not told apart
        for place in range(2):
            cosine = torch.dot(found[place, neuron].double(), vectors[place]).abs()
            assert cosine == pytest.approx(1, abs=1e-3)
        assert torch.dot(found[0, neuron].double(), own).abs() < 1e-3
        assert torch.dot(found[0, neuron], found[1, neuron]).abs() < 1e-3
        checked += 1
    assert checked > 5


def test_a_neuron_without_significant_effects_has_no_further_directions(context: Context) -> None:
    table = context.tables[2]
    paths = table.paths.shape[0]
    assert not further_ranks(table, torch.zeros(128, paths, paths)).any()


def test_texts_replace_effects_by_projections(context: Context, batch: PassBatch) -> None:
    generator = torch.Generator().manual_seed(0)
    for places in (
        torch.arange(128),
        torch.tensor([3, 50, 90]),
        torch.tensor([], dtype=torch.long),
    ):
        view = batch.views[1]
        whole = formed(context)[1][:, places]
        vectors = torch.nn.functional.normalize(
            torch.randn(2, len(places), 24, generator=generator), dim=2
        )
        found = texts._candidates(view.tables.paths, places, vectors).change(view)
        torch.testing.assert_close(found[0], -whole.sum(1), **CLOSE)
        for row, direction in zip(found[1:], vectors, strict=True):
            kept = torch.einsum("ine,ne->in", whole, direction)[..., None] * direction
            torch.testing.assert_close(row, (kept - whole).sum(1), **CLOSE)


def test_effects_are_kept_in_units_of_the_threshold(context: Context, batch: PassBatch) -> None:
    found = effects.probe(context).take(batch)
    view, whole = batch.views[2], formed(context)[2]
    norms = whole.norm(dim=2) / view.tables.threshold
    np.testing.assert_allclose(found["norms"][:, view.tables.rows], norms, rtol=2e-3)
    np.testing.assert_allclose(found["representation"], batch.representation)
    assert found["peaks"].shape == (4, len(context.kind_neurons))


def test_variance_on_unseen_pictures_is_that_of_the_formed_effects(
    context: Context, batch: PassBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = effects.probe(context).take(batch)
    monkeypatch.setattr(context, "record", lambda name: found)
    shares = rank.held_out_variance(context)
    start = context.tables[1].rows.start
    whole, view = formed(context)[1].double(), batch.views[1]
    for neuron in range(128):
        strong = whole[view.norms[:, neuron] >= view.tables.threshold[neuron], neuron]
        if not len(strong):
            assert np.isnan(shares[start + neuron])
            continue
        along = (strong @ view.tables.directions[neuron].double()).square().sum()
        assert shares[start + neuron] == pytest.approx(
            float(along / strong.square().sum()), abs=5e-3
        )


def test_parts_of_the_fit_add_up_to_the_representation(context: Context, batch: PassBatch) -> None:
    probe = fit.probe(context)
    parts = probe.parts(batch)
    whole = parts[-1]
    mean = torch.from_numpy(np.array(context.bundle.mean_representation))
    torch.testing.assert_close(whole, batch.representation - mean)
    second, first, rest = parts[-4], parts[-3], parts[-2]
    torch.testing.assert_close(second + first + rest, whole, **CLOSE)
    torch.testing.assert_close(sum(parts[:3]), second, **CLOSE)
    torch.testing.assert_close(sum(parts[3:6]), first, **CLOSE)
    heads = parts[6:-4]
    assert len(heads) == 6  # three later blocks of two heads
    torch.testing.assert_close(sum(heads), second, **CLOSE)
    effects_of = sum(whole_layer.sum(1) for whole_layer in formed(context))
    torch.testing.assert_close(second, effects_of, **CLOSE)
    kept = probe.take(batch)
    contrast = context.judge.texts[context.evaluation.answers] - context.judge.texts.mean(0)
    np.testing.assert_allclose(kept["lead"][:, -1], (whole * contrast).sum(1), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(kept["square"][:, -1], whole.square().sum(1), rtol=1e-4)


def test_every_batch_size_gives_the_same_pass(context: Context) -> None:
    def passed(size: int) -> dict[str, np.ndarray]:
        def take(places: range) -> dict[str, np.ndarray]:
            pixels = context.evaluation.pixels(context.loaded, places)
            record = trace(context.loaded.model, pixels, context.layers)
            images = slice(places.start, places.stop)
            views = [LayerView(context.tables[n], record, images) for n in context.layers]
            probe = Replacement(context.judge, lambda view: selectivity.selected(view, 0))
            return dict(probe.take(PassBatch(images, record.representation, views)))

        return stream(context.work, "pass", 4, size, take, lambda line: None)

    one, four = passed(1), passed(4)
    assert np.array_equal(one["ranks"], four["ranks"])
    np.testing.assert_allclose(one["cosines"], four["cosines"], rtol=1e-4, atol=1e-6)
