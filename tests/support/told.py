"""Bundles whose neurons are said to be more than chance, by plan: the tiny model's never are."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from explorer.bundle import Manifest, seal
from explorer.bundle.arrays import PAIR_ARRAYS

WORDS = 2  # of a neuron that words describe
SHARED = "circle, red"  # by the pictures of a neuron that they drive
KINDS = 3  # row modulo 3: by words, by pictures, by nothing
TESTED = (
    "text_p", "words", "prediction", "prediction_p", "precision",
    "driven_p", "driven_by", "words_pass", "driven_pass", "meanings",
)  # fmt: skip


def rewrite(folder: Path, **columns: object) -> Path:
    """Write columns of the neuron table anew (None: none such) and seal the bundle."""
    file = folder / "neurons.parquet"
    kept = {name: values for name, values in columns.items() if values is not None}
    gone = [name for name, values in columns.items() if values is None]
    pd.read_parquet(file).assign(**kept).drop(columns=gone).to_parquet(file, index=False)
    facts = Manifest.read(folder).content()
    seal(folder, **{key: value for key, value in facts.items() if key not in {"files", "schema"}})
    return folder


def told(bundle: Path, folder: Path) -> Path:
    """Copy a bundle; of three neurons one passes by two words, one by its pictures, one not."""
    copy = Path(shutil.copytree(bundle, folder))
    kind = np.arange(len(pd.read_parquet(copy / "neurons.parquet"))) % KINDS
    return rewrite(
        copy,
        words=np.where(kind == 0, WORDS, 0).astype(np.int8),
        words_pass=kind == 0,
        driven_pass=kind == 1,
        driven_by=np.where(kind == 1, SHARED, ""),
    )


def told_pairs(bundle: Path, folder: Path) -> Path:
    """Copy a bundle as `told` does; of three pairs the first has two words above chance."""
    copy = told(bundle, folder)
    paths = np.load(copy / "pair_paths.npy")
    words = np.zeros(paths.shape, np.int8)
    rows, places = np.nonzero(paths >= 0)
    words[rows[::KINDS], places[::KINDS]] = WORDS
    np.save(copy / "pair_words.npy", words)
    return rewrite(copy)


def unpaired(bundle: Path, folder: Path) -> Path:
    """Copy a bundle as one that was built before there were neuron-head pairs."""
    copy = Path(shutil.copytree(bundle, folder))
    for array in PAIR_ARRAYS.values():
        (copy / array.file()).unlink()
    return rewrite(copy)


def untested(bundle: Path, folder: Path) -> Path:
    """Copy a bundle as one that was built before neurons were compared with chance."""
    return rewrite(Path(shutil.copytree(bundle, folder)), **dict.fromkeys(TESTED))
