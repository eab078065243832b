"""Two bundles side by side: matches against sets of pictures, one neuron at a time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from explorer.build import build
from explorer.bundle import Bundle, match
from explorer.bundle.match import _dealt, _layer, match_facts, match_neurons
from explorer.bundle.pictures import PictureStore
from explorer.commands.main import main
from explorer.errors import InputError
from tests.conftest import draw, facts_of, png, settings_for


def stronger(bundle: Bundle, row: int) -> set[bytes]:
    """Return the top pictures of a neuron at its stronger end."""
    effects = np.abs(np.asarray(bundle.top_effects[row], np.float64)).sum(axis=1)
    images = bundle.top_images[row, int(effects.argmax())]
    return {bundle.pictures.encoded(int(image)) for image in images if image >= 0}


def test_matches_are_those_of_sets(tiny_bundle: Path, other_bundle: Path) -> None:
    first, second = Bundle.open(tiny_bundle), Bundle.open(other_bundle)
    found = match_neurons(first, second)
    assert found.layers == [1, 2] and found.pictures == 32
    both = {first.pictures.encoded(n) for n in range(36)}
    both &= {second.pictures.encoded(n) for n in range(33)}
    assert len(both) == 32
    theirs = {row: stronger(second, row) & both for row in range(256)}
    for place in range(0, 256, 17):
        row = int(found.rows[place])
        assert row == place + 128  # layers 1 and 2 of three
        own = stronger(first, row) & both
        layer = range(128) if place < 128 else range(128, 256)
        overlaps = {n: len(own & theirs[n]) / max(1, len(own | theirs[n])) for n in layer}
        assert found.overlap[place] == pytest.approx(max(overlaps.values()))
        assert overlaps[int(found.best[place])] == max(overlaps.values())
        assert found.same[place] == pytest.approx(overlaps[place])
    assert found.cosine is None  # random texts of another model
    assert 0 < found.chance < 1
    assert not found.numbered


def test_a_bundle_is_its_own_match(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    found = match_neurons(bundle, bundle)
    assert (found.same[found.shown] == 1).all()
    assert (found.overlap[found.shown] == 1).all()
    assert found.numbered and (found.home == found.rows).all()
    assert np.median(found.dealt[found.shown]) < 0.7
    alive = np.linalg.norm(bundle.directions.astype(np.float32), axis=1) > 0.5
    assert found.cosine is not None
    assert np.allclose(found.cosine[alive], 1, atol=2e-3)
    facts = match_facts(bundle, bundle, 3)
    assert facts["shared_space"] is True and facts["changed"] == []
    assert all(layer["overlap"] > 0.9 for layer in facts["layers"])


def test_copies_of_a_picture_count_once(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle.open(tiny_bundle)
    hashes = [str(image // 3) for image in range(36)]  # three copies of each
    monkeypatch.setattr(match, "_keys", lambda bundle: hashes)
    found = match_neurons(bundle, bundle)
    assert found.pictures == 12
    assert (found.same[found.shown] == 1).all()
    assert (found.overlap[found.shown] == 1).all() and found.dealt.max() <= 1


def test_what_cannot_be_compared(
    tiny_bundle: Path, other_bundle: Path, tiny_model: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(["compare", str(tiny_bundle), str(other_bundle), "--json", "--top", "5"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert [layer["layer"] for layer in facts["layers"]] == [1, 2]
    overlaps = [neuron["overlap"] for neuron in facts["changed"]]
    assert overlaps == sorted(overlaps) and len(overlaps) == 5
    rows = [(facts_of("red", "circle", n), png(draw("red", "circle", 9 + n))) for n in range(20)]
    PictureStore.write(tmp_path / "store", rows)
    settings = settings_for(
        tmp_path / "b", tiny_model, tmp_path / "store", layers="1", nulls=50, texts="common",
        words=40,
    )  # fmt: skip
    strange = Bundle.open(build(settings, lambda line: None))
    with pytest.raises(InputError, match=r"share \d pictures"):
        match_neurons(Bundle.open(tiny_bundle), strange)
    settings = settings_for(tmp_path / "c", tiny_model, tmp_path / "store", layers="0", nulls=50)
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(InputError, match="compare bundles that share one"):
        match_neurons(Bundle.open(other_bundle), Bundle.open(build(settings, lambda line: None)))


def test_pictures_are_dealt_to_as_many_neurons_as_before() -> None:
    draw = np.random.default_rng(3)
    tops = csr_array((draw.random((200, 400)) < 0.03).astype(np.float64))
    dealt = _dealt(tops)
    assert set(dealt.data) == {1.0}
    lost = tops.sum() - dealt.sum()  # a picture that a neuron would hold twice
    assert 0 <= lost < 0.05 * tops.sum()
    assert (dealt.sum(axis=1) <= tops.sum(axis=1)).all()
    assert (dealt.sum(axis=0) <= tops.sum(axis=0)).all()
    assert dealt.multiply(tops).sum() < 0.1 * tops.sum()


def test_of_two_unrelated_bundles_the_best_match_is_that_of_chance() -> None:
    draw = np.random.default_rng(5)
    own, theirs = (csr_array((draw.random((300, 500)) < 0.05).astype(np.float64)) for _ in range(2))
    rows = np.arange(300)
    _, best, overlap, dealt, *_ = _layer(own, theirs, rows, rows)
    assert abs(np.median(overlap) - np.median(dealt)) < 0.02
    _, _, overlap, dealt, *_ = _layer(own, own, rows, rows)
    assert overlap.min() == 1 and dealt.max() < 0.5
    assert best.min() >= 0
