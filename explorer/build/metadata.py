"""`metadata.csv` beside a folder's pictures, in the forms people have.

Read are commas, semicolons and tabs between columns, UTF-8 with or without a byte order mark, the
UTF-16 of spreadsheets, names of columns in any case, and Hugging Face's `file_name`.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from pathlib import Path

from explorer.errors import InputError

METADATA = "metadata.csv"
FILE_COLUMNS = ("file", "file_name", "filename", "path", "image")
_DELIMITERS = ",;\t"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SPLITS = {
    "": "", "corpus": "corpus", "train": "corpus", "training": "corpus",
    "heldout": "heldout", "held-out": "heldout", "held out": "heldout", "held_out": "heldout",
    "test": "heldout", "val": "heldout", "valid": "heldout", "validation": "heldout",
}  # fmt: skip


def read_metadata(folder: Path) -> dict[str, dict[str, str]]:
    """Return {a picture's path below the folder: its columns}; nothing without the file.

    The column `split` comes as "corpus", "heldout", or "" where a picture has none.

    Raises:
        InputError: when the file cannot be read, has no column of paths, or an unknown split.
    """
    file = folder / METADATA
    if not file.is_file():
        return {}
    data = file.read_bytes()
    try:
        text = data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
        head = text.partition("\n")[0]
        reader = csv.DictReader(
            io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=head.count)
        )
        columns = [name.strip().casefold() for name in reader.fieldnames or []]
        reader.fieldnames = columns
        rows = [{k: (v or "").strip() for k, v in row.items() if k} for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} is no CSV in UTF-8 ({error}); save it as one.") from error
    key = next((name for name in FILE_COLUMNS if name in columns), None)
    if key is None:
        raise InputError(
            f"{file} has the columns {', '.join(columns) or '(none)'}, and none of paths relative "
            f"to its folder: call that one '{FILE_COLUMNS[0]}' or '{FILE_COLUMNS[1]}'."
        )
    for row in rows:
        row["split"] = _split(file, row.get("split", ""))
    return {composed(row[key]).replace("\\", "/").removeprefix("./"): row for row in rows}


def composed(text: str) -> str:
    """Return a text with accents in one form (NFC): file names and tables often differ there."""
    return unicodedata.normalize("NFC", text)


def _split(file: Path, said: str) -> str:
    found = _SPLITS.get(said.casefold())
    if found is None:
        raise InputError(
            f"{file} has the split '{said}'; write 'corpus' for pictures to build from and "
            "'heldout' for those to measure on."
        )
    return found
