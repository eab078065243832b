"""Options made from the fields of a dataclass: types, defaults, choices, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

import pytest

from explorer.attack.settings import BatchSettings
from explorer.build.settings import BuildSettings
from explorer.commands.options import Parser, add_settings, read_settings
from explorer.errors import InputError
from explorer.evidence import EvidenceSettings


@dataclass(frozen=True)
class Sample:
    folder: Path = field(metadata={"help": "where to"})
    count: int = field(default=3, metadata={"help": "100 % of what", "short": "-c"})
    share: float | None = field(default=None, metadata={"help": "a share"})
    kind: str = field(default="a", metadata={"help": "a kind", "choices": ["a", "b"]})
    layers: tuple[int, ...] = field(default=(1, 2), metadata={"help": "layers"})
    exact_ones: bool = field(default=False, metadata={"help": "only exact ones"})
    hidden: int = 7


def parse(*arguments: str) -> Sample:
    parser = Parser(prog="sample")
    parser.fill = lambda command: add_settings(command, Sample)
    return read_settings(parser.parse_args(list(arguments)), Sample)


def test_defaults_are_the_fields() -> None:
    assert parse("--folder", "x") == Sample(Path("x"))


def test_every_type_is_read() -> None:
    given = parse(
        *("--folder", "x", "-c", "5", "--share", "0.5", "--kind", "b"),
        *("--layers", "4", "5", "6", "--exact-ones"),
    )
    assert given == Sample(Path("x"), 5, 0.5, "b", (4, 5, 6), True)
    assert isinstance(given.layers, tuple)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--folder"),
        (["--folder", "x", "--count", "many"], "'many' is no whole number; see 'sample --help'"),
        (["--folder", "x", "--share", "half"], "'half' is no number"),
        (["--folder", ""], "--folder: is empty: name a file or a folder"),
        (["--folder", "x", "--kind", "c"], "invalid choice"),
        (["--folder", "x", "--hidden", "1"], "unrecognized arguments: --hidden"),
    ],
)
def test_what_is_refused(arguments: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        parse(*arguments)


def test_help_names_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "100 % of what (default: 3)" in text and "layers (default: 1 2)" in text


@pytest.mark.parametrize("settings", [BatchSettings, BuildSettings, EvidenceSettings])
def test_every_setting_is_an_option(settings: type) -> None:
    assert [f.name for f in fields(settings) if "help" not in f.metadata] == []
