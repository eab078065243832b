"""Names move to their pictures, and the text tower learns it; other texts stay."""

import json
from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from explorer.bundle import MODEL_FOLDER, Bundle
from explorer.commands.main import main
from explorer.demo.lexicon import embed_texts
from explorer.demo.names import (
    NameSettings,
    Sights,
    drawings_in,
    fit_names,
    move_names,
    teach_names,
)
from tests.support.tiny import tiny_clip

NAMES = ["anchor", "bicycle", "cat", "dog", "envelope", "flag"]
QUICK = NameSettings(fit_steps=60, fit_rate=2e-2, pull=0.5, steps=60, batch_size=32, rate=2e-3)


def unit(rows: int, seed: int, embed: int = 16) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, embed, generator=generator), dim=-1)


def sights(centres: torch.Tensor, each: int, seed: int) -> Sights:
    """`each` pictures of every name, scattered about its centre."""
    answers = torch.arange(len(centres)).repeat_interleave(each)
    scattered = centres[answers] + 0.4 * unit(len(answers), seed, centres.shape[1])
    return Sights(F.normalize(scattered, dim=-1), answers)


def test_names_move_to_their_pictures_and_no_farther_than_the_pull_lets_them():
    start, centres = unit(6, seed=1), unit(6, seed=2)
    seen, unseen = sights(centres, 8, seed=3), sights(centres, 8, seed=4)
    moved = fit_names(start, seen, replace(QUICK, fit_steps=150))
    assert unseen.recall(start) < 0.4
    assert unseen.recall(moved) > 0.8
    torch.testing.assert_close(moved.norm(dim=1), torch.ones(6))
    held = fit_names(start, seen, replace(QUICK, fit_steps=150, pull=100.0))
    assert ((held * start).sum(1).mean() > 0.95).item()
    assert ((moved * start).sum(1).mean() < (held * start).sum(1).mean()).item()


def test_recall_counts_the_nearest_name():
    pictures = Sights(torch.eye(3), torch.tensor([0, 1, 1]))
    assert pictures.recall(torch.eye(3)) == pytest.approx(2 / 3)
    assert pictures.only(torch.tensor([True, False, True])).recall(torch.eye(3)) == 0.5


def test_the_text_tower_learns_where_names_went_with_their_phrases_and_leaves_other_texts():
    model = tiny_clip(seed=3)
    tokenize = open_clip.SimpleTokenizer(context_length=16)
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    others = ["river", "happy", "blue paint", "seven"]
    said = [f"a drawing of a {name}" for name in NAMES]
    start, phrases = embed_texts(model, tokenize, NAMES), embed_texts(model, tokenize, said)
    stayed = embed_texts(model, tokenize, others)
    moved = F.normalize(start + 0.5 * unit(6, seed=5, embed=start.shape[1]), dim=-1)

    teach_names(model, tokenize, NAMES, moved, [*NAMES, *others], QUICK, lambda line: None)

    taught = embed_texts(model, tokenize, NAMES)
    assert ((taught * moved).sum(1).mean() > (start * moved).sum(1).mean() + 0.03).item()
    goal = F.normalize(phrases + moved - start, dim=-1)
    spoken = embed_texts(model, tokenize, said)
    assert ((spoken * goal).sum(1).mean() > (phrases * goal).sum(1).mean()).item()
    left = embed_texts(model, tokenize, others)
    assert ((left * stayed).sum(1).mean() > 0.97).item()
    after = model.state_dict()
    assert all(torch.equal(after[n], w) for n, w in before.items() if n.startswith("visual."))
    unsaid = tokenize(["xylophone"])[0, 1]
    assert torch.equal(
        after["token_embedding.weight"][unsaid], before["token_embedding.weight"][unsaid]
    )


def test_drawings_are_split_by_the_style_that_settings_are_chosen_by(tiny_bundle, monkeypatch):
    bundle = Bundle.open(tiny_bundle)
    table = bundle.pictures.table[: bundle.pictures.corpus_size]
    style = table["source"].iloc[0]
    monkeypatch.setattr("explorer.demo.names.CHOOSING_STYLE", style)
    names, seen, kept = drawings_in(bundle)
    named = table["concept"] != ""
    assert names == sorted(set(table["concept"][named]))
    assert len(kept.answers) == (named & (table["source"] == style)).sum() > 0
    assert len(seen.answers) + len(kept.answers) == named.sum()
    assert names[kept.answers[0]] == table["concept"][named & (table["source"] == style)].iloc[0]
    first = np.flatnonzero(named & (table["source"] == style))[0]
    wanted = F.normalize(torch.from_numpy(bundle.image_embeddings[first].astype(np.float32)), dim=0)
    torch.testing.assert_close(kept.embeddings[0], wanted)


def test_a_bundles_model_is_written_with_a_new_text_tower(tiny_bundle, tmp_path, monkeypatch):
    bundle = Bundle.open(tiny_bundle)
    pictures = sights(unit(6, seed=2, embed=bundle.image_embeddings.shape[1]), 4, seed=3)
    monkeypatch.setattr("explorer.demo.names.drawings_in", lambda of: (NAMES, pictures, pictures))
    digests = dict(bundle.manifest.files)
    found = move_names(bundle, tmp_path / "model", QUICK, lambda line: None)
    assert found["before"] < found["after"]
    name = "open_clip_model.safetensors"
    old, new = load_file(bundle.path / MODEL_FOLDER / name), load_file(tmp_path / "model" / name)
    assert old.keys() == new.keys()
    changed = {n for n, weights in old.items() if not torch.equal(weights, new[n])}
    assert changed and not {n for n in changed if n.startswith(("visual.", "logit"))}
    assert all(new[n].dtype == weights.dtype for n, weights in old.items())
    assert dict(Bundle.open(tiny_bundle).manifest.files) == digests


def test_the_names_step_says_where_the_model_is(tiny_bundle, tmp_path, monkeypatch, capsys):
    moved = {"before": 0.7, "after": 0.8}
    monkeypatch.setattr("explorer.demo.names.move_names", lambda *about: moved)
    command = ["demo", "names", "--out", str(tiny_bundle), "--work", str(tmp_path), "--json"]
    assert main(command) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == {"model": str(tmp_path / "model"), "recall@1": moved}
