"""Metrics against plain counting and scikit-learn; scenes and measurements on the tiny bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.evidence.measures.discovery import (
    RANKINGS,
    _auc,
    _confidence,
    _unfamiliar,
    measure_discovery,
)
from explorer.evidence.measures.map_scores import (
    THRESHOLDS,
    Scores,
    average_precision,
    best_threshold,
    score_map,
    summarise,
)
from explorer.evidence.measures.segmentation import measure_segmentation
from explorer.scenes.seeded import SceneSet, draw_scene
from tests.support.evidence import few_resamples

FIGURES = {
    "pixel_accuracy",
    "mean_iou",
    "mean_average_precision",
    "foreground_average_precision",
    "calibrated_iou",
}


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


def blob(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A mask and a noisy map of it, [row, column]."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((20, 30), bool)
    mask[4:12, 6 : 10 + seed] = True
    return mask + rng.normal(0, 0.5, mask.shape), mask


@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_is_scikit_learns(ties: bool) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores, truth = rng.random(200), rng.random(200) < 0.3
        scores = np.round(scores, 1) if ties else scores
        assert average_precision(scores, truth) == pytest.approx(
            average_precision_score(truth, scores)
        )
    assert average_precision(rng.random(5), np.zeros(5, bool)) == 0


def test_scores_are_counted_plainly() -> None:
    found, mask = blob(3)
    counts, sweep, precision = score_map(found, mask)
    positive = np.where(found > 0, found, 0)
    scaled = (positive - positive.min()) / (positive.max() - positive.min())
    tp = int(((scaled > 0.5) & mask).sum())
    fp = int(((scaled > 0.5) & ~mask).sum())
    assert counts.tolist() == [tp, fp, mask.sum() - tp, mask.size - mask.sum() - fp]
    for place in (0, 7, 24, 48):
        above = scaled > THRESHOLDS[place]
        assert sweep[place].tolist() == [(above & mask).sum(), (above | mask).sum()]
    truth, scores = mask.ravel(), scaled.ravel()
    assert precision[1] == pytest.approx(average_precision_score(truth, scores))
    both = average_precision_score(
        np.concatenate([truth, ~truth]), np.concatenate([scores, 1 - scores])
    )
    assert precision[0] == pytest.approx(both)


def test_a_perfect_and_an_empty_map() -> None:
    mask = blob(1)[1]
    counts, sweep, precision = score_map(mask.astype(float), mask)
    assert counts[1] == counts[2] == 0
    assert (sweep[:, 0] == sweep[:, 1]).all()
    assert precision.tolist() == [1, 1]
    counts, sweep, _ = score_map(np.full(mask.shape, -1.0), mask)
    assert counts[:2].tolist() == [0, 0]
    assert not sweep[:, 0].any()


def scores_of(scenes: int, noise: float = 0.0) -> Scores:
    rows = []
    for scene in range(scenes):
        found, mask = blob(scene)
        rows.append(score_map(mask + noise * (found - mask), mask))
    return Scores(np.arange(scenes), *map(np.array, zip(*rows, strict=True)))


def test_summary_has_the_pooled_figures_and_their_intervals() -> None:
    scores = scores_of(12, 1.0)
    found = summarise(scores, 0.5)
    tp, fp, fn, tn = scores.counts.sum(axis=0)
    assert found["pixel_accuracy"]["value"] == pytest.approx(
        (tp + tn) / (tp + fp + fn + tn), abs=1e-4
    )
    assert found["mean_iou"]["value"] == pytest.approx(
        (tp / (tp + fp + fn) + tn / (tn + fp + fn)) / 2, abs=1e-4
    )
    assert found["calibrated_iou"]["value"] == pytest.approx(tp / (tp + fp + fn), abs=1e-4)
    for name in FIGURES:
        low, high = found[name]["interval"]
        assert low <= found[name]["value"] <= high
        assert found[name]["count"] == 12
        assert low < high
    assert found == summarise(scores, 0.5)
    of_all = {"value": 1, "interval": [1, 1], "count": 12}
    perfect = summarise(scores_of(12), 0.5)
    assert all(perfect[name] == of_all for name in FIGURES)


def test_the_best_threshold_is_the_best() -> None:
    parts = [scores_of(6, 1.0), scores_of(4, 0.8)]
    best = best_threshold(parts)
    means = [
        np.mean([summarise(part, float(t))["calibrated_iou"]["value"] for part in parts])
        for t in THRESHOLDS
    ]
    assert best == pytest.approx(THRESHOLDS[int(np.argmax(means))])


def test_scenes_are_the_same_every_time_and_apart(bundle: Bundle) -> None:
    one = SceneSet("test", multiple=True)
    first, again = (draw_scene(bundle, one, 5, 32) for _ in range(2))
    assert (np.asarray(first.image) == np.asarray(again.image)).all()
    assert len(first.labels) == 4 == len(set(first.labels))
    assert {len(draw_scene(bundle, one, n, 32).labels) for n in range(6)} == {2, 3, 4}
    other = draw_scene(bundle, SceneSet("calibration", multiple=True), 5, 32)
    assert (np.asarray(first.image) != np.asarray(other.image)).any()
    held_out = set(bundle.pictures.table.query("split == 'heldout'")["label"])
    assert {draw_scene(bundle, SceneSet("test"), n, 32).labels[0] for n in range(9)} <= held_out
    with pytest.raises(InputError, match="'show'"):
        SceneSet("show")


def test_segmentation_is_measured_and_resumed(bundle: Bundle, tmp_path: Path) -> None:
    said: list[str] = []
    plan = {"scenes": 4, "photographic": 0, "calibration": 3, "work": tmp_path}
    methods = ("second-order", "attention", "legrad")
    found = measure_segmentation(bundle, **plan, methods=methods, progress=said.append)
    assert set(found["sets"]) == {"pictogram, single", "pictogram, multiple"}
    single = found["sets"]["pictogram, single"]
    assert single["objects"] == single["scenes"] == 4
    assert set(single["methods"]) == set(methods) == set(found["thresholds"])
    for forms in single["methods"].values():
        for form in forms:
            assert all(0 <= forms[form][name]["value"] <= 1 for name in FIGURES)
    assert set(single["methods"]["second-order"]) == {"exact", "refined", "fine"}
    assert set(single["methods"]["legrad"]) == {"exact", "refined"}
    assert len(said) == len({line.split(" [")[0] for line in said}) == 4  # a line per set
    said.clear()
    files = sorted(tmp_path.glob("*.npz"))
    again = measure_segmentation(bundle, **plan, methods=methods, progress=said.append)
    assert again == found
    assert said == []
    files[0].unlink()
    assert measure_segmentation(bundle, **plan, methods=methods, progress=said.append) == found
    assert len(said) == 1
    plain = measure_segmentation(bundle, scenes=4, photographic=0, calibration=3, methods=methods)
    assert plain == found


def test_what_cannot_be_measured(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="no heatmap method 'magic'"):
        measure_segmentation(bundle, methods=["magic"])
    with pytest.raises(InputError, match="at least one scene"):
        measure_segmentation(bundle, scenes=0)
    with pytest.raises(InputError, match="at least two"):
        measure_discovery(bundle, scenes=1)


def test_discovery_is_measured(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    few_resamples(monkeypatch)
    found = measure_discovery(bundle, scenes=4, top=(1, 3))
    for kind in ("pictogram, single", "pictogram, multiple"):
        part = found[kind]
        assert part["scenes"] == 4
        for source in (*RANKINGS, "chance"):
            figures = part[source]
            assert set(figures) == {"hit@1", "cosine@1", "hit@3", "cosine@3"}
            if part["objects_in_dictionary"]:
                assert figures["hit@1"]["value"] <= figures["hit@3"]["value"]
                assert figures["cosine@1"]["value"] <= figures["cosine@3"]["value"] + 1e-6


def test_unfamiliar_scenes_are_counted_apart(bundle: Bundle) -> None:
    one, other = bundle.texts[:2]
    labels = [(one,), (one, other), (other, "no text of the dictionary")]
    ranked = [{"concepts": np.array(places)} for places in ([0, 5], [7, 0], [0])]
    found = _unfamiliar(bundle, labels, ranked, np.array([False, True, True]), 0)
    assert found["scenes"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["named"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert found["named_elsewhere"]["value"] == 1


def test_confidence_is_scored_as_by_counting_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    few_resamples(monkeypatch)
    nan = np.nan
    present = np.array([[0.99, 0.2, nan], [0.9, nan, nan], [0.7, 0.95, 0.86]])
    absent = np.array([[0.1, nan, nan], [nan, nan, nan], [0.9, 0.84, nan]])
    present, absent = np.tile(present, (4, 1)), np.tile(absent, (4, 1))
    found = _confidence(present, absent, 0)
    pairs = [
        (yes > no) + (yes == no) / 2
        for yes in present[~np.isnan(present)]
        for no in absent[~np.isnan(absent)]
    ]
    assert found["auc"]["value"] == pytest.approx(np.mean(pairs), abs=1e-4)
    assert found["auc"]["interval"][0] <= found["auc"]["value"] <= found["auc"]["interval"][1]
    assert found["present_doubted"]["value"] == pytest.approx(2 / 6, abs=1e-4)
    assert found["absent_doubted"]["value"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["doubtful_below"] == 0.85


def test_confidence_of_present_texts_alone_tells_nothing_apart() -> None:
    found = _auc(np.array([0.5, 0.6]), np.array([True, True]), np.array([0, 1]), 0)
    assert found == {"value": None, "interval": None, "count": 2}
