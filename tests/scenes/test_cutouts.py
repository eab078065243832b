"""Whose cut-outs a bundle's scenes are made of."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.build import build
from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.scenes import cutouts
from explorer.scenes.cutouts import cut_out, find_cutouts
from explorer.scenes.seeded import SceneSet, can_draw, draw_scene, made_of
from tests.conftest import settings_for
from tests.support.photographs import write_photographs


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 photographs without alpha, in five sub-folders."""
    return write_photographs(tmp_path_factory.mktemp("photographs") / "in", 5, 4)


@pytest.fixture(scope="module")
def built(photographs: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "mine"
    settings = settings_for(out, tiny_model, photographs, images=str(photographs), layers="2")
    return build(settings, lambda line: None)


@pytest.mark.parametrize("purpose", ["test", "calibration", "examples"])
def test_a_bundle_of_photographs_takes_the_shipped_cutouts(built: Path, purpose: str) -> None:
    bundle = Bundle.open(built)
    for pool in ("pictogram", "photographic"):
        scenes = SceneSet(purpose, pool, multiple=True)
        assert made_of(bundle, scenes) == "the bundle 'picto'"
        scene = draw_scene(bundle, scenes, 2, 64)
        assert len(scene.labels) == 4
        assert all(0 < mask.mean() < 0.6 for mask in scene.masks[-1:])


def test_discovery_asks_for_names_that_the_dictionary_has(built: Path) -> None:
    """This one has five texts: the pictures' own names, so the pictures are set in whole."""
    bundle = Bundle.open(built)
    scenes = SceneSet("discovery", multiple=True)
    assert made_of(bundle, scenes) == "whole pictures of the bundle 'mine'"
    assert set(draw_scene(bundle, scenes, 2, 64).labels) <= set(bundle.texts)
    assert not can_draw(bundle, SceneSet("discovery", "photographic"))
    with pytest.raises(InputError, match=r"--texts corpus\+common"):
        draw_scene(bundle, SceneSet("discovery", "photographic"), 0, 64)


def test_masks_beside_the_photographs_come_first(
    photographs: Path, tiny_model: Path, tmp_path: Path
) -> None:
    """They are noted by the build, and read from where they were."""
    left = np.zeros((48, 48), np.uint8)
    left[:, :24] = 255
    shutil.copytree(photographs, tmp_path / "in")
    for place in range(20):
        file = tmp_path / "in" / "masks" / f"thing {place // 4}" / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(left).save(file)
    out = tmp_path / "mine"
    settings = settings_for(out, tiny_model, out, images=str(tmp_path / "in"), layers="2")
    bundle = Bundle.open(build(settings, lambda line: None))
    found = find_cutouts(bundle, "photographic")
    assert found.of == "masks beside the pictures of 'mine'"
    alpha = np.asarray(found.image(0).getchannel("A"))
    assert alpha[:, :24].min() == 255 and alpha[:, 24:].max() == 0
    shown = np.asarray(found.image(0))[..., :3]
    files = [Image.open(f) for f in (photographs / found.labels[0]).iterdir()]
    assert any((shown == np.asarray(file)).all() for file in files)
    (tmp_path / "in" / "masks").rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="is not what it was"):
        found.image(0)


def test_a_mask_of_another_size_is_brought_to_the_pictures() -> None:
    mask = Image.new("L", (4, 4), 0)
    mask.paste(255, (0, 0, 2, 4))
    alpha = np.asarray(cut_out(Image.new("RGB", (40, 20)), mask).getchannel("A"))
    assert alpha.shape == (20, 40)
    assert alpha[:, :12].min() == 255 and alpha[:, 28:].max() == 0


def test_own_cutouts_come_before_all(tiny_bundle: Path) -> None:
    assert find_cutouts(Bundle.open(tiny_bundle), "pictogram").of == "the bundle 'tiny'"


def test_without_the_shipped_bundle_photographs_are_set_in_whole(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cutouts, "shipped_pictures", lambda: None)
    bundle = Bundle.open(built)
    scene = draw_scene(bundle, SceneSet("test"), 0, 64)
    rows, columns = np.nonzero(scene.masks[0])
    assert scene.masks[0].sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1), "a rectangle"
