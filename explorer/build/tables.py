"""Tables with the pictures' bytes: Parquet, or Arrow as Hugging Face's `datasets` write it.

The picture is the first column of bytes, or of a struct with `bytes` in it. A column of numbers
whose names the file's features give (`ClassLabel`) becomes those names.
"""

from __future__ import annotations

import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
from PIL import Image

from explorer.build.files import named
from explorer.build.listed import Entry
from explorer.bundle.pictures import COLUMNS
from explorer.errors import InputError, brief
from explorer.pixels import open_picture

LABELS = ("label", "labels", "class", "fine_label", "name", "names", "caption", "text")
"""Columns that may hold labels, the first one there is."""
NESTED = "bytes"


class TableListing:
    """The pictures of some tables, row by row."""

    def __init__(self, name: str, files: Sequence[Path]) -> None:
        """Name the files; nothing is read yet."""
        self.name, self.tables = name, named(files)
        self._held: tuple[Path, int, pa.Array] | None = None

    @property
    def places(self) -> dict[str, str]:
        """Nothing: there are no files to point to."""
        return {}

    def entries(self) -> tuple[list[Entry], list[str]]:
        """Return the pictures by file and row, and what is left out.

        Raises:
            InputError: when a file cannot be read, or has no column of pictures.
        """
        entries, skipped = [], []
        for name, file in self.tables.items():
            try:
                with _opened(file) as table:
                    table.picture  # noqa: B018  # raises where there is none
                    for row, known in enumerate(table.known()):
                        entries.append(Entry(f"{name}/{row}", known))
            except (pa.ArrowException, OSError) as error:
                skipped.append(f"{name}: {brief(error)}")
        if not entries and skipped:
            raise InputError(f"No table can be read: {skipped[0]}.")
        return entries, skipped

    def files(self, key: str) -> dict[str, str]:
        """Return nothing: a picture here is no file of its own."""
        return {}

    def open(self, key: str) -> Image.Image:
        """Return a picture."""
        name, _, row = key.rpartition("/")
        if name not in self.tables:
            raise FileNotFoundError(f"no table {name} in {self.name}")
        data = self._bytes(self.tables[name], int(row))
        if data is None:
            raise ValueError("the row holds no picture")
        return open_picture(io.BytesIO(data))

    def _bytes(self, file: Path, row: int) -> bytes | None:
        """Return a row's picture; the part of the table that it is in is kept for the next one."""
        held = self._held
        if held is None or held[0] != file or not held[1] <= row < held[1] + len(held[2]):
            with _opened(file) as table:
                held = self._held = (file, *table.part(row))
        found: bytes | None = held[2][row - held[1]].as_py()
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Leave what is held behind: every process holds a part of its own."""
        return {**self.__dict__, "_held": None}


class _Table(ABC):
    """One table, a part at a time."""

    def __init__(self, file: Path) -> None:
        self.file = file

    schema: pa.Schema

    def __enter__(self) -> _Table:
        return self

    @abstractmethod
    def __exit__(self, *_: object) -> None:
        """Leave nothing open."""

    @property
    def picture(self) -> str:
        """The column of pictures."""
        for field in self.schema:
            if _is_bytes(field.type) or (
                pa.types.is_struct(field.type) and field.type.get_field_index(NESTED) >= 0
            ):
                return str(field.name)
        raise InputError(
            f"{self.file} has the columns {', '.join(self.schema.names)}, and none of pictures: "
            "one must hold the bytes of their files."
        )

    def known(self) -> Iterator[dict[str, str]]:
        """Yield what is known of each row, by columns of the store."""
        label = next((name for name in LABELS if name in self.schema.names), None)
        wanted = [name for name in COLUMNS if name in self.schema.names and name != self.picture]
        wanted = list(dict.fromkeys([*wanted, *([label] if label else [])]))
        names = self._class_names(label)
        for part in self._columns(wanted):
            columns = {name: part.column(name).to_pylist() for name in wanted}
            for row in range(part.num_rows):
                known = {name: _text(columns[name][row]) for name in wanted if name in COLUMNS}
                if label:
                    value = columns[label][row]
                    named = names and isinstance(value, int) and 0 <= value < len(names)
                    known["label"] = names[value] if named else _text(value)
                yield known

    @abstractmethod
    def part(self, row: int) -> tuple[int, pa.Array]:
        """Return the part of the column of pictures that a row is in, and its first row."""

    @abstractmethod
    def _columns(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows of some columns."""

    def _class_names(self, label: str | None) -> list[str]:
        stored = (self.schema.metadata or {}).get(b"huggingface", b"{}")
        try:
            features = json.loads(stored)["info"]["features"]
            return [str(name) for name in features[label]["names"]]
        except (ValueError, KeyError, TypeError):
            return []


class _Parquet(_Table):
    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self._open = pq.ParquetFile(file)
        self.schema = self._open.schema_arrow

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def _columns(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        yield from self._open.iter_batches(columns=names)

    def part(self, row: int) -> tuple[int, pa.Array]:
        first = 0
        for group in range(self._open.num_row_groups):
            rows = self._open.metadata.row_group(group).num_rows
            if row < first + rows:
                column = self._open.read_row_group(group, [self.picture]).column(0)
                return first, _plain(column.combine_chunks())
            first += rows
        raise ValueError(f"row {row} is not in {self.file.name}")


class _Arrow(_Table):
    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self._map = pa.memory_map(str(file))
        try:
            self._batches = list(pa.ipc.open_stream(self._map))
        except pa.ArrowInvalid:
            self._map.seek(0)
            opened = pa.ipc.open_file(self._map)
            self._batches = [opened.get_batch(n) for n in range(opened.num_record_batches)]
        if not self._batches:
            raise InputError(f"{file} holds no rows.")
        self.schema = self._batches[0].schema

    def __exit__(self, *_: object) -> None:
        self._map.close()  # arrays that were read keep what they need of it

    def _columns(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        for batch in self._batches:
            yield batch.select(names)

    def part(self, row: int) -> tuple[int, pa.Array]:
        first = 0
        for batch in self._batches:
            if row < first + batch.num_rows:
                return first, _plain(batch.column(self.picture))
            first += batch.num_rows
        raise ValueError(f"row {row} is not in {self.file.name}")


def _opened(file: Path) -> _Table:
    return _Parquet(file) if file.suffix.lower() == ".parquet" else _Arrow(file)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _plain(column: Any) -> pa.Array:
    """Return the bytes of a column of pictures."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return column.field(NESTED) if pa.types.is_struct(column.type) else column


def _text(value: object) -> str:
    if value is None:
        return ""
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
