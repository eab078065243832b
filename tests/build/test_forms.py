"""Bundles built from one model's weights in three forms are the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest

from explorer.build import build
from explorer.bundle import Bundle
from tests.conftest import settings_for
from tests.support.photographs import write_photographs
from tests.support.three_forms import write_three_forms
from tests.support.tiny import tiny_config

QUICK = "Tiny-quickgelu"


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::torch.jit.TracerWarning")
def test_directions_do_not_depend_on_the_form_of_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = dict(open_clip.factory._MODEL_CONFIGS)
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", configs)
    configs[QUICK] = tiny_config(quick_gelu=True)
    pictures = write_photographs(tmp_path / "in", 4, 5)
    bundles: dict[str, Bundle] = {}
    for form, (model, pretrained) in write_three_forms(tmp_path / "weights", QUICK).items():
        settings = settings_for(
            tmp_path / form, tmp_path, tmp_path,
            model=model, pretrained=pretrained, images=str(pictures), layers="1,2",
        )  # fmt: skip
        bundles[form] = Bundle.open(build(settings, lambda line: None))
    expected = bundles.pop("transformers")
    assert np.abs(expected.directions).max() > 0.1
    for bundle in bundles.values():
        for name in ("directions", "image_embeddings", "text_embeddings"):
            ours, theirs = (np.asarray(getattr(b, name), np.float32) for b in (bundle, expected))
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5, err_msg=name)
        assert list(bundle.pictures.table["name"]) == list(expected.pictures.table["name"])
