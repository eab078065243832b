"""The names of code that texts give in backticks: each stands for something that exists."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEXTS = [
    *(ROOT / "explorer").rglob("*.py"),
    *(ROOT / "benchmarks").rglob("*.py"),
    *(ROOT / "docs").glob("*.md"),
    ROOT / "README.md",
]
NAME = re.compile(r"`[^`\n]*?\b(explorer(?:\.[A-Za-z_]\w*)+)")
FILE = re.compile(r"`(explorer/[\w/]+\.\w+)`")


def missing(text: str) -> Iterator[str]:
    """Yield the modules, their members and the files that a text names and that aren't there."""
    for name in NAME.findall(text):
        if not exists(name):
            yield name
    for file in FILE.findall(text):
        if "NAME" not in file and not (ROOT / file).is_file():
            yield file


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    try:
        pkgutil.resolve_name(name)
    except (ImportError, AttributeError):
        return False
    return True


def test_names_in_backticks_exist() -> None:
    wrong = {str(file): list(missing(file.read_text("utf-8"))) for file in TEXTS}
    assert not {file: names for file, names in wrong.items() if names}


def test_what_is_missing_is_found() -> None:
    there = "`explorer.bundle.Bundle.open`, `python -m explorer.bundle.format`, `explorer/kept.py`"
    assert not list(missing(there))
    wrong = ["explorer.presence", "explorer.lens.models.lode", "explorer/bundel.py"]
    assert list(missing(", ".join(f"`{name}`" for name in wrong))) == wrong
