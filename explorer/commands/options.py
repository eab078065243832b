"""What the commands share: a parser with one-line errors, and options made from settings.

A setting is a field of a frozen dataclass whose metadata has a `help`, `choices` where only some
values are possible, and `short` where the option has a second, short name. Its type and default are
the field's: they stand nowhere else.
"""

from __future__ import annotations

import argparse
import sys
import types
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar, Union, get_args, get_origin, get_type_hints

from explorer.errors import InputError

BUNDLE = "the bundle's folder"
Result = dict[str, Any]
Run = Callable[[argparse.Namespace], Result]
Fill = Callable[[argparse.ArgumentParser], None]
Settings = TypeVar("Settings")


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line like all others.

    `fill` adds its arguments when it is first used, so that a command imports only its own modules.
    """

    fill: Fill | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Make a parser that says in plain words what is no number and no path."""
        super().__init__(*args, **kwargs)
        for kind, read in ((int, _whole), (float, _number), (Path, _path)):
            self.register("type", kind, read)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Add the arguments that wait, then parse; the command's own parser refuses unknown ones.

        Raises:
            InputError: when an argument is none of the command's.
        """
        if self.fill is not None:
            fill, self.fill = self.fill, None
            fill(self)
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(
                f"unrecognized arguments: {' '.join(unknown)} (a text of several words stands in "
                "quotation marks)"
            )
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Raise the parser's complaint.

        Raises:
            InputError: always.
        """
        raise InputError(f"{message}; see '{self.prog} --help'.")


class Adder(Protocol):
    """Adds a command to the command line and returns its parser."""

    def __call__(
        self, name: str, run: Run, about: str, fill: Fill | None = None
    ) -> argparse.ArgumentParser:
        """Add a command that runs `run`; `fill` adds its arguments when it is used."""
        ...


def positive(text: str) -> int:
    """Read a whole number of at least 1.

    Raises:
        argparse.ArgumentTypeError: when it is none.
    """
    value = _whole(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {value}")
    return value


def add_settings(command: argparse.ArgumentParser, settings: type) -> None:
    """Add one option for every field of a dataclass that has a `help`."""
    hints = get_type_hints(settings)
    for field in fields(settings):
        if "help" in field.metadata:
            names = filter(None, (field.metadata.get("short"), option_name(field.name)))
            command.add_argument(*names, **_option(field, hints[field.name]))


def read_settings(options: argparse.Namespace, settings: type[Settings]) -> Settings:
    """Return the dataclass made of the options that bear its fields' names.

    Raises:
        InputError: when a value is out of its range.
    """
    known = {field.name for field in fields(settings)}  # type: ignore[arg-type]  # a dataclass
    given = {name: value for name, value in vars(options).items() if name in known}
    lists = {name: tuple(value) for name, value in given.items() if isinstance(value, list)}
    return settings(**given | lists)


def option_name(field: str) -> str:
    """Return a field's option: `batch_size` is `--batch-size`."""
    return f"--{field.replace('_', '-')}"


def to_stderr(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number") from error


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no number") from error


def _path(text: str) -> Path:
    """Read a path; an empty one, as an unset variable leaves it, would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("is empty: name a file or a folder")
    return Path(text)


def _option(field: Field[Any], hint: Any) -> dict[str, Any]:
    asked = {"help": field.metadata["help"].replace("%", "%%")}
    if hint is bool:
        return {**asked, "action": "store_true"}
    kinds = [part for part in get_args(hint) if part is not types.NoneType]
    if get_origin(hint) is tuple:
        asked |= {"type": kinds[0], "nargs": "+"}
    else:
        asked["type"] = kinds[0] if get_origin(hint) in (Union, types.UnionType) else hint
    if "read" in field.metadata:
        asked["type"] = field.metadata["read"]
    if "choices" in field.metadata:
        asked["choices"] = field.metadata["choices"]
    if field.default is MISSING:
        return {**asked, "required": True}
    shown = field.default not in (None, "")
    text = " ".join(map(str, field.default)) if isinstance(field.default, tuple) else field.default
    return {**asked, "default": field.default} | (
        {"help": f"{asked['help']} (default: {text})"} if shown else {}
    )
