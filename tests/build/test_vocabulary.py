"""What a build leaves out of its dictionary, and where it says so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from explorer.build import texts as build_texts
from explorer.build.run import build
from explorer.build.texts import check_different, gather_texts, make_vocabulary
from explorer.bundle import Bundle
from explorer.bundle.pictures import PictureStore, picture_words
from explorer.errors import InputError
from explorer.ui.about.sections import _dictionary_note
from tests.conftest import picture_rows, settings_for

EMBED, SHOWN, UNSHOWN = 32, 120, 100


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def test_words_without_pictures_leave_and_their_number_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    embeddings = unit(rng.normal(size=(SHOWN + UNSHOWN, EMBED)))
    shown = np.repeat(np.arange(SHOWN), 6)
    images = unit(embeddings[shown] + 0.6 * unit(rng.normal(size=(len(shown), EMBED))))
    pictures = pd.DataFrame({"label": [f"thing {n}" for n in shown]}).assign(
        concept="", keywords="", looks=""
    )
    pictures.loc[0, "label"] = "noise 0"  # a label, though its embedding is random
    names = [f"thing {n}" for n in range(SHOWN)] + [f"noise {n}" for n in range(UNSHOWN)]
    table = pd.DataFrame({"text": names, "source": "file"})
    monkeypatch.setattr(
        build_texts, "encode_texts", lambda loaded, texts: torch.from_numpy(3 * embeddings)
    )
    store = SimpleNamespace(table=pictures, corpus_size=len(pictures))
    said: list[str] = []
    settings = settings_for(tmp_path, tmp_path, tmp_path)
    found = make_vocabulary(
        table,
        None,
        images.astype(np.float16),
        store,
        settings,
        said.append,  # type: ignore[arg-type]
    )
    kept = found.dictionary.texts
    assert kept[: SHOWN + 1] == names[: SHOWN + 1]
    assert len(kept) - SHOWN - 1 <= 8
    assert kept == found.table["text"].tolist()
    assert found.left_out == len(names) - len(kept)
    np.testing.assert_allclose(
        found.dictionary.embeddings, embeddings[[names.index(name) for name in kept]], atol=1e-3
    )
    assert f"{found.left_out} of 220 left out" in " ".join(said)


def test_the_manifest_holds_how_many_were_left_out(tiny_bundle: Path) -> None:
    manifest = Bundle.open(tiny_bundle).manifest
    assert manifest.texts["left_out"] == 0  # of so few nothing is tested
    assert manifest.texts["count"] == manifest.counts["texts"]


def test_few_that_are_told_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bug: where the text tower can tell no text, all stayed and nobody said so."""
    rng = np.random.default_rng(0)
    texts, images = (unit(rng.normal(size=(220, EMBED))) for _ in range(2))
    pictures = pd.DataFrame({"label": ["word 0", "word 1"] * 110})
    pictures = pictures.assign(concept="", keywords="", looks="")
    table = pd.DataFrame({"text": [f"word {n}" for n in range(220)], "source": "file"})
    monkeypatch.setattr(build_texts, "encode_texts", lambda loaded, given: torch.from_numpy(texts))
    store = SimpleNamespace(table=pictures, corpus_size=len(pictures))
    said: list[str] = []
    settings = settings_for(tmp_path, tmp_path, tmp_path)
    found = make_vocabulary(table, None, images, store, settings, said.append)  # type: ignore[arg-type]
    assert (found.left_out, len(found.dictionary)) == (0, 220)
    assert found.told is not None and 2 <= found.told < 100
    few = f"only {found.told} of 220 texts could be told, too few to leave the others out: all stay"
    assert said == [f"texts: {few}"]
    noted = _dictionary_note({"source": "file", "count": 220, "left_out": 0, "told": found.told})
    assert noted == f"in the dictionary; {few}"
    assert _dictionary_note({"source": "file", "count": 220, "told": 220}) == "in the dictionary"


def test_the_manifest_says_how_many_are_told(tiny_model: Path, tmp_path: Path) -> None:
    PictureStore.write(tmp_path / "store", picture_rows())
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(f"word {n}" for n in range(120)), "utf-8")
    lines: list[str] = []
    settings = settings_for(
        tmp_path / "b", tiny_model, tmp_path / "store", texts=str(texts), layers="2", nulls=50
    )
    held = Bundle.open(build(settings, lines.append)).manifest.texts
    assert (held["count"], held["left_out"]) == (120, 0)
    assert f"texts: only {held['told']} of 120 texts could be told" in " ".join(lines)


def test_texts_that_are_read_alike_are_refused_before_the_pass(
    tiny_model: Path, tiny_store: Path, tmp_path: Path
) -> None:
    """A bug: the build failed after the pass, with a sentence about rows that are zero."""
    texts = tmp_path / "texts.txt"
    texts.write_text("Cat\ncat\nCAT\n", "utf-8")
    lines: list[str] = []
    settings = settings_for(tmp_path / "b", tiny_model, tiny_store, texts=str(texts), layers="2")
    with pytest.raises(InputError, match="The model reads all 3 texts alike: give different ones"):
        build(settings, lines.append)
    assert not any(line.startswith("pass") for line in lines)


def test_one_text_among_many_may_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(loaded: None, texts: list[str]) -> torch.Tensor:
        return torch.tensor([[1.0, 0.0] if text == "a" else [0.0, 1.0] for text in texts])

    monkeypatch.setattr(build_texts, "encode_texts", encode)
    check_different(["a"] * 200 + ["b"], None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="all 201 texts alike"):
        check_different(["a"] * 201, None)  # type: ignore[arg-type]


def test_too_few_texts_name_the_remedy(tmp_path: Path) -> None:
    pictures = pd.DataFrame({"label": ["cat"] * 3}).assign(concept="", keywords="", looks="")
    store = SimpleNamespace(table=pictures, corpus_size=3)
    settings = settings_for(tmp_path, tmp_path, tmp_path)
    with pytest.raises(InputError, match=r"'corpus' gives 1 texts.* use --texts common or a file"):
        gather_texts(settings, store)  # type: ignore[arg-type]


def test_words_of_pictures() -> None:
    table = pd.DataFrame(
        [("Traffic light, red", "light", "Stop, GO,", "flat"), (None, "", None, "E\u0301toile")],
        columns=["label", "concept", "keywords", "looks"],
    )
    assert picture_words(table, ("label", "keywords")) == [
        {"traffic light, red", "stop", "go"},
        frozenset(),
    ]
    assert picture_words(table, ("concept", "looks")) == [{"light", "flat"}, {"\u00e9toile"}]
