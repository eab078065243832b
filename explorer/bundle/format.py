"""Write `docs/bundle-format.md` from the tables that the code reads and writes by.

Run `python -m explorer.bundle.format` after a change of `arrays`, `manifest`, `measures` or
`pictures`; a test compares the file with what this module says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from explorer.bundle.arrays import ARRAYS, AXES, MEAN_COEFFICIENTS, Array, bounds
from explorer.bundle.manifest import MANIFEST, SCHEMA, Manifest
from explorer.bundle.measures import TABLE
from explorer.bundle.pictures import COLUMNS, SPLITS
from explorer.bundle.pictures import FILES as OUTSIDE
from explorer.bundle.tables import OWN

PAGE = Path(__file__).resolve().parents[2] / "docs" / "bundle-format.md"

FILES = {
    "neurons.parquet": "one row per neuron, by layer and neuron",
    "texts.parquet": "one row per text: `text`, and `source`, where it came from",
    "images.parquet": "one row per picture, the corpus first, held-out ones behind it",
    "pictures.bin": "the pictures' files (WebP, PNG or JPEG), one after the other",
    "texts.faiss": "FAISS index over the text embeddings, inner product",
    "model/": "the model as open_clip's `local-dir:` opens it, if the bundle carries it",
}


def document() -> str:
    """Return the page, Markdown."""
    parts = [*_head(), *_arrays(), *_files(), *_neurons(), *_images(), *_manifest()]
    return "\n".join(parts) + "\n"


def _head() -> list[str]:
    return [
        "# The bundle format",
        "",
        "Written by `python -m explorer.bundle.format` from the tables in `explorer/bundle`: "
        "change those, not this page.",
        "",
        f"A bundle is a folder, schema {SCHEMA}. Arrays are `.npy` files, read memory-mapped; "
        f"tables are Parquet; there are no pickles. `{MANIFEST}` lists every other file with its "
        "SHA-256 and size, and carries a digest of itself.",
        "",
    ]


def _arrays() -> list[str]:
    return [
        "## Arrays",
        "",
        "Axes of one name have one length in all arrays, but for the files of single layers.",
        "",
        *_table(("axis", "what it counts"), ((f"`{axis}`", about) for axis, about in AXES.items())),
        "",
        *_table(
            ("file", "axes", "dtype", "values", "what it is"),
            (_array_row(array) for array in [*ARRAYS.values(), MEAN_COEFFICIENTS]),
        ),
        "",
    ]


def _files() -> list[str]:
    rows = ((f"`{name}`", about) for name, about in FILES.items())
    return ["## Other files", "", *_table(("file", "what it is"), rows), ""]


def _neurons() -> list[str]:
    rows = [
        *((f"`{column.name}`", column.about) for column in OWN),
        *((f"`{measure.key}`", measure.meaning) for measure in TABLE),
    ]
    return ["## Columns of `neurons.parquet`", "", *_table(("column", "what it is"), rows), ""]


def _images() -> list[str]:
    return [
        "## Columns of `images.parquet`",
        "",
        f"{', '.join(f'`{name}`' for name in COLUMNS)}: texts, empty where unknown; `split` is one "
        f"of {', '.join(f'`{name}`' for name in SPLITS)}. `offset` and `length` say where in "
        "`pictures.bin` the picture's file lies, in bytes. Bundles of a folder may have "
        f"{' and '.join(f'`{name}`, {about}' for name, about in OUTSIDE.items())}.",
        "",
    ]


def _manifest() -> list[str]:
    rows = [
        *(
            (f"`{field.alias or name}`", str(field.description))
            for name, field in Manifest.model_fields.items()
        ),
        ("`digest`", "SHA-256 of all other keys as canonical JSON"),
    ]
    return [f"## Keys of `{MANIFEST}`", "", *_table(("key", "what it is"), rows)]


def _array_row(array: Array[Any]) -> tuple[str, ...]:
    file = f"{array.name}/layer_NN.npy" if array.per_layer else array.file()
    values = f"rows of {array.row_of}, or -1" if array.row_of else bounds(array.least, array.most)
    if array.gaps:
        values = f"{values or 'any'}, or NaN"
    return (f"`{file}`", " × ".join(array.axes), array.dtype.name, values, array.about)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


if __name__ == "__main__":
    PAGE.write_text(document(), "utf-8")
