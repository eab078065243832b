"""The parameters of a TorchScript archive, read without running its code.

OpenAI's own files (`ViT-B-32.pt`, as `clip.load` leaves them in the user's cache) are such ones: a
zip of Python source that `torch.jit.load` compiles, a pickle that nests modules and tensors, and
one record of bytes for each tensor's storage. Here only the pickle is read, by an unpickler that
builds nothing but tensors and plain containers: any other name in it becomes an empty stand-in.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from explorer.errors import InputError

_PICKLE = "data.pkl"
_CONSTANTS = "constants.pkl"  # every archive of TorchScript has one, no file of torch.save
_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


@dataclass(frozen=True)
class ScriptArchive:
    """What an archive holds."""

    parameters: dict[str, Tensor]
    """Parameters and buffers by their dotted names."""
    classes: frozenset[str]
    """Names of its modules' classes, without the path before them."""


def is_script_archive(path: Path) -> bool:
    """Return whether a file is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    return any(name.endswith(f"/{_CONSTANTS}") for name in names)


def read_script_archive(path: Path) -> ScriptArchive:
    """Return an archive's parameters and the names of its classes; no code of it is run.

    Raises:
        InputError: when the archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            top = next(n for n in archive.namelist() if n.endswith(f"/{_PICKLE}"))
            reader = _Reader(archive, top.removesuffix(_PICKLE))
            root = reader.load()
        return ScriptArchive(dict(_tensors(root)), frozenset(reader.classes))
    except (
        zipfile.BadZipFile, pickle.UnpicklingError, StopIteration, KeyError, ValueError, TypeError,
        EOFError, RuntimeError, AttributeError,
    ) as error:  # fmt: skip
        raise InputError(
            f"The TorchScript archive {path} is damaged ({type(error).__name__}: {error}): get the "
            "file again."
        ) from error


class _Module:
    """Stand-in for an object of the archive's own classes; keeps its attributes."""

    attributes: Mapping[str, Any] = MappingProxyType({})

    def __setstate__(self, state: Any) -> None:
        self.attributes = state


class _Reader(pickle.Unpickler):
    """Reads the archive's pickle; builds tensors, containers and stand-ins."""

    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(archive.open(f"{folder}{_PICKLE}"))
        self._archive, self._folder = archive, folder
        self._storages: dict[str, Tensor] = {}
        self.classes: set[str] = set()

    def find_class(self, module: str, name: str) -> Any:
        """Return what may stand for a name of the pickle; never the name itself, but for tensors.

        Raises:
            UnpicklingError: when it is a function that no archive of modules needs.
        """
        if module == "torch" and name in _STORAGES:
            return name
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda data, *_: data
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch.jit._pickle":
            return lambda value, *_: value
        if module.startswith("__torch__"):
            self.classes.add(name)
            return _Module
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a model")

    def persistent_load(self, record: Any) -> Tensor:
        """Return a storage as a flat tensor."""
        _, kind, key, _, count = record
        if key not in self._storages:
            data = bytearray(self._archive.read(f"{self._folder}data/{key}"))
            dtype = _STORAGES[kind]
            self._storages[key] = (
                torch.frombuffer(data, dtype=dtype, count=count)
                if count
                else torch.empty(0, dtype=dtype)
            )
        return self._storages[key]


def _tensor(
    storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _tensors(module: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor below a module with its dotted name."""
    for name, value in module.attributes.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _Module):
            yield from _tensors(value, f"{prefix}{name}.")
