"""The bundle's tables: which columns they have, what stands in them, and how they are read.

Each is one Parquet file. A column that an entry here doesn't name is kept and not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from explorer.bundle.arrays import RESTORE, bounds
from explorer.errors import BundleError, brief

Kind = Literal["whole numbers", "numbers", "texts", "true or false"]
INTEGER: Kind = "whole numbers"
NUMBER: Kind = "numbers"
TEXT: Kind = "texts"
FLAG: Kind = "true or false"


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    kind: Kind
    about: str
    needed: bool = True
    """Whether every bundle has it; of the others a reader asks first."""
    gaps: bool = False
    """Whether NaN may occur."""
    least: float | None = None

    def problem(self, values: pd.Series[float] | pd.Series[str]) -> str:
        """Return what is wrong with a column's values, as expected and found; or nothing."""
        found = pd.api.types.infer_dtype(values, skipna=False)
        fits = {
            INTEGER: pd.api.types.is_integer_dtype(values),
            NUMBER: pd.api.types.is_numeric_dtype(values) and found in ("integer", "floating"),
            TEXT: found in ("string", "empty"),
            FLAG: pd.api.types.is_bool_dtype(values),
        }
        empty = int(values.isna().sum())
        if empty and (self.kind != NUMBER or not self.gaps):
            return f"expected {self.kind} in every row, found {empty:,} rows without"
        if not fits[self.kind]:
            return f"expected {self.kind}, found {found}"
        if self.kind not in (INTEGER, NUMBER):
            return ""
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        if endless := np.count_nonzero(np.isinf(numbers)):
            return f"expected finite numbers, found {endless:,} that are not"
        if self.least is not None and (numbers < self.least).any():
            return f"expected {self.kind} {bounds(self.least, None)}, found {np.nanmin(numbers):g}"
        return ""


OWN = (
    Column("layer", INTEGER, "number of the layer", least=0),
    Column("neuron", INTEGER, "number of the neuron in its layer", least=0),
    Column(
        "explained_variance_2",
        NUMBER,
        "share of the significant effects along the second direction",
        gaps=True,
    ),
    Column("explained_variance_3", NUMBER, "the same for the third", gaps=True),
    Column("histogram_unit", NUMBER, "effect norm that `norm_histogram` counts in", least=0),
    Column("concepts", TEXT, "the heaviest texts, with commas between"),
    Column("words", INTEGER, "how many of the first texts gain more than chance", False, least=0),
    Column(
        "driven_by",
        TEXT,
        "words that its pictures share more surely than chance, with commas between",
        False,
    ),
    Column(
        "words_pass",
        FLAG,
        "whether its words are more than chance, at a false discovery rate of 5 %",
        False,
    ),
    Column("driven_pass", FLAG, "the same for what drives it", False),
)
"""Columns of the neuron table that are no measures."""
_ALWAYS = (
    "explained_variance", "selectivity", "threshold", "scale", "polysemy", "agreement",
)  # fmt: skip
"""Measures that every bundle has, for pages rely on them; the others come and go with versions."""
_CHANCE = ("text_p", "prediction", "prediction_p", "precision", "driven_p")
_OTHERS = (
    "max_norm", "positive_share", "concept_polysemy", "image_polysemy", "label_diversity",
    "reconstruction", "meanings", "clusters",
)  # fmt: skip
NEURONS = (
    *OWN,
    *(Column(name, NUMBER, "a measure", gaps=True) for name in _ALWAYS),
    *(Column(name, NUMBER, "a measure", needed=False, gaps=True) for name in (*_CHANCE, *_OTHERS)),
)
"""Columns of the neuron table; `explorer.bundle.measures` says what the measures are."""
TESTED = ("words_pass", "words", "driven_by", "driven_pass", *_CHANCE)
"""Columns of bundles whose neurons were compared with chance: all of them or none."""

TEXTS = (
    Column("text", TEXT, "the text"),
    Column("source", TEXT, "where it came from"),
)


def read_table(file: Path, columns: Sequence[Column], rows: int | None = None) -> pd.DataFrame:
    """Return a table with its columns checked, and its number of rows where that is known.

    Raises:
        BundleError: when it cannot be read, or is of another form; with the column.
    """
    try:
        table = pd.read_parquet(file).reset_index(drop=True)
    except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
        raise BundleError(f"{file} cannot be read ({brief(error)}); {RESTORE}.") from error
    if problem := _form_problem(table, columns, rows):
        raise BundleError(f"{file}: {problem}; {RESTORE}.")
    return table


def read_neurons(file: Path, layers: Sequence[int], rows: int) -> pd.DataFrame:
    """Return the neuron table: the same number of neurons for each of the layers, in order.

    Raises:
        BundleError: when it cannot be read, or is of another form; with the column.
    """
    table = read_table(file, NEURONS, rows)
    each = rows // len(layers)
    ordered = {"layer": np.repeat(layers, each), "neuron": np.tile(np.arange(each), len(layers))}
    for name, wanted in ordered.items():
        if not np.array_equal(table[name].to_numpy(), wanted):
            raise BundleError(
                f"{file}: column '{name}': expected neurons 0 to {each - 1} of each of the layers "
                f"{', '.join(map(str, layers))} in order, found another order; {RESTORE}."
            )
    absent = [name for name in TESTED if name not in table]
    if absent and TESTED[0] in table:
        raise BundleError(f"{file}: column '{absent[0]}' is missing; {RESTORE}.")
    return table


def _form_problem(table: pd.DataFrame, columns: Sequence[Column], rows: int | None) -> str:
    if not table.columns.is_unique:
        return "expected columns of different names, found two of one name"
    absent = [column.name for column in columns if column.needed and column.name not in table]
    if absent:
        return f"column '{absent[0]}' is missing"
    if rows is not None and len(table) != rows:
        return f"expected {rows:,} rows, found {len(table):,}"
    for column in columns:
        if column.name in table and (problem := column.problem(table[column.name])):
            return f"column '{column.name}': {problem}"
    return ""
