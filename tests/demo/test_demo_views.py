"""Photographs, their parts, and the views that are made of them and of drawings."""

import numpy as np
import pandas as pd
import pytest
import torch

from explorer.demo.composer import Composer, ComposerSettings
from explorer.demo.knowledge import Teachers
from explorer.demo.photographs import (
    assign_parts,
    pack_photographs,
    photo_label,
    photo_squares,
)
from explorer.demo.pixels import standardise, to_float
from tests.demo.toys import SIZE, TOWER, encoded, toy_stock
from tests.support.tiny import tiny_clip


def tables():
    tiny = pd.DataFrame(
        [(b"", f"n{c}", f"thing {c}, other") for c in range(3) for _ in range(25)],
        columns=["image", "wnid", "names"],
    )
    samples = pd.DataFrame(
        [(b"", f"n{c}", f"thing {c}, other") for c in range(400)],
        columns=["image", "wnid", "names"],
    )
    everyday = pd.DataFrame(
        [(b"", "natural:dog", "thing 7")] * 50, columns=["image", "wnid", "names"]
    )
    return tiny, samples, everyday


def test_no_tested_or_unknown_name_is_trained():
    table = assign_parts(*tables())
    trained = set(table["label"][table["part"] == "train"])
    for part, count in (("unknown", 96), ("test", 300)):
        names = set(table["label"][(table["part"] == part) & (table["source"] == "samples")])
        assert len(names) == count
        assert not names & trained
    assert "thing 7" in trained  # an everyday name: its sample is no test


def test_the_last_photographs_of_each_class_are_kept_aside():
    table = assign_parts(*tables())
    tiny = table[table["source"] == "tiny"]
    assert tiny.groupby(["wnid", "part"]).size().unstack().to_numpy().tolist() == [[10, 10, 5]] * 3
    assert tiny["part"].iloc[:25].tolist() == ["train"] * 5 + ["test"] * 10 + ["known"] * 10
    assert (table[table["source"] == "everyday"]["part"] == "known").sum() == 40


def test_photographs_are_decoded_once(tmp_path):
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    rows = [(encoded((10 * n, 0, 90)), "n0", "Tabby, cat") for n in range(22)]
    frame = pd.DataFrame(rows, columns=["image", "wnid", "names"])
    frame.to_parquet(folder / "tiny_imagenet_train_40k.parquet")
    frame[:1].assign(image=[encoded((1, 2, 3), (300, 200))]).to_parquet(
        folder / "imagenet_samples_500.parquet"
    )
    frame[:2].assign(wnid="natural:dog", names="dog").to_parquet(folder / "everyday_10k.parquet")
    photographs = pack_photographs(folder, out)
    assert photographs.pixels["small"].shape == (24, 64, 64, 3)
    assert photographs.pixels["large"].shape == (1, 192, 192, 3)
    assert photo_squares(photographs, np.array([3]), 30)[0, 15, 15].tolist() == [30, 0, 90]
    assert photo_squares(photographs, np.array([22]), 30)[0, 15, 15].tolist() == [1, 2, 3]
    (folder / "everyday_10k.parquet").unlink()
    again = pack_photographs(folder, out)
    assert again.table.equals(photographs.table)


def test_labels_are_first_names():
    assert photo_label("Tabby, tabby cat") == "tabby"


def views(settings, seed=0, drawings=(0, 1, 2, 3)):
    composer = Composer(toy_stock(), SIZE, settings)
    rows, photos = torch.tensor(drawings), torch.tensor([0, 6])
    return composer(rows, photos, torch.Generator().manual_seed(seed))


def test_views_depend_on_the_seed_alone():
    first, second = views(ComposerSettings()), views(ComposerSettings())
    assert torch.equal(first.pixels, second.pixels)
    assert torch.equal(first.patches, second.patches)
    assert not torch.equal(first.pixels, views(ComposerSettings(), 1).pixels)
    assert first.pixels.shape == (6, 3, SIZE, SIZE)
    assert first.patches.shape == (6, 5)


def test_drawings_that_fill_the_frame_and_photographs_count_with_every_token():
    shown = views(ComposerSettings(full=1.0, pair=0.0))
    assert (shown.patches == 1).all()
    assert shown.drawings.tolist() == [[0, -1], [1, -1], [2, -1], [3, -1]]


def test_pairs_tell_which_patches_show_the_first():
    shown = views(ComposerSettings(full=0.0, pair=1.0), drawings=(0, 1, 3) * 20)
    assert (shown.drawings[:, 1] >= 0).all()
    partly = shown.patches[:60].mean(1)
    assert ((partly > 0) & (partly < 1)).float().mean() > 0.5
    marked = shown.patches[:60][partly < 1]
    assert (marked[:, 0] == 0).all()  # the class token shows everything


def test_a_whole_photograph_is_shown_as_it_is():
    plan = ComposerSettings(whole=1.0, tint=0.0)
    stock = toy_stock()
    composer = Composer(stock, 64, plan)
    shown = composer.photographs(torch.tensor([2]), torch.Generator().manual_seed(1))
    expected = standardise(to_float(stock.photographs.pixels["small"][2:3]))
    assert any(torch.allclose(shown, e, atol=1e-4) for e in (expected, expected.flip(3)))


def test_inks_stand_out_from_their_ground():
    generator = torch.Generator().manual_seed(0)
    ground = torch.rand(200, 3, 1, 1).expand(200, 3, 4, 4)
    ink = Composer._ink(ground, generator)
    assert ((ink.mean(1) - ground.mean((1, 2, 3))).abs() >= 0.3).all()


def test_teachers_know_what_both_towers_make_of_a_picture():
    first, dino = tiny_clip(**TOWER).visual, tiny_clip(seed=9, **TOWER).visual
    dino.transformer.resblocks[:3].load_state_dict(first.transformer.resblocks[:3].state_dict())
    for name in ("class_embedding", "positional_embedding", "conv1"):
        setattr(dino, name, getattr(first, name))
    written = []
    handle = dino.transformer.register_forward_hook(lambda *call: written.append(call[2]))
    pixels = torch.randn(3, 3, SIZE, SIZE)
    with torch.no_grad():
        dino(pixels)
        embedding = torch.nn.functional.normalize(first(pixels), dim=-1)
        from explorer.demo.features import embed_tokens

        stream = first.transformer.resblocks[0](embed_tokens(first, pixels))
    handle.remove()
    known = Teachers(dino, first, 1, 3).ask(stream)
    assert known.meanings.shape == (3, 16)
    assert (known.meanings * embedding).sum(1).min() > 0.999
    token, patches = written[0][:, 0], written[0][:, 1:].mean(1)
    for found, expected in zip(known.features.chunk(2, 1), (token, patches), strict=True):
        assert (
            torch.cosine_similarity(found, expected - expected.mean(1, keepdim=True)).min() > 0.99
        )


@pytest.mark.parametrize("side", [0.4, 1.0])
def test_a_sprite_has_the_size_that_was_asked_for(side):
    composer = Composer(toy_stock(), 56, ComposerSettings(tilt=0.0, flip=0.0))
    composer.stock.drawings[0][..., 3] = 255
    ground = torch.ones(1, 3, 56, 56)
    sprite = composer._sprite(
        torch.tensor([0]), torch.tensor([side]), torch.zeros(1, 2), torch.tensor([True]), ground,
        torch.Generator().manual_seed(0),
    )  # fmt: skip
    assert sprite[0, 3].mean().item() == pytest.approx(side**2, abs=0.03)
