"""Whose cut-outs a bundle's scenes are made of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.build import build
from explorer.bundle import Bundle
from explorer.bundle.originals import original_file
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


def test_masks_beside_the_photographs_come_first(built: Path, photographs: Path) -> None:
    left = np.zeros((48, 48), np.uint8)
    left[:, :24] = 255
    try:
        for place in range(20):
            file = photographs / "masks" / f"thing {place % 5}" / f"{place}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(left).save(file)
        bundle = Bundle.open(built)
        found = find_cutouts(bundle, "photographic")
        assert found.of == f"masks in {photographs}"
        alpha = np.asarray(found.image(0).getchannel("A"))
        assert alpha[:, :24].min() == 255 and alpha[:, 24:].max() == 0
        original = np.asarray(Image.open(original_file(bundle, 0)))
        assert (np.asarray(found.image(0))[..., :3] == original).all()
    finally:
        for file in (photographs / "masks").rglob("*.png"):
            file.unlink()


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


def test_originals_stay_inside_their_folder(built: Path, photographs: Path) -> None:
    bundle = Bundle.open(built)
    name = bundle.pictures.table["name"].iloc[0]
    assert original_file(bundle, 0) == (photographs / name).resolve()

    def within(**images: str) -> Bundle:
        told = {name: value for name, value in bundle.manifest.images.items() if name != "folder"}
        return Bundle(bundle.path, bundle.manifest.model_copy(update={"images": told | images}))

    assert original_file(within(folder=str(photographs / "elsewhere")), 0) is None
    assert original_file(within(), 0) is None
    odd = within(folder=str(photographs / "thing 0"))
    odd.pictures.table.loc[0, "name"] = "../thing 1/1.png"
    assert original_file(odd, 0) is None
