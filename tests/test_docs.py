"""The documentation builds, its links lead somewhere, and the README's addresses are the app's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from explorer.commands.main import _parser
from explorer.ui.address.address import PAGES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
MOST_LINES = 6  # of a paragraph


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "method" / "index.html").is_file()


def test_the_readmes_files_exist() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    files = [link for link in links if not urlsplit(link).scheme]
    assert len(files) > 10
    assert [file for file in files if not (ROOT / file.split("#")[0]).is_file()] == []


def test_the_readmes_addresses_open_pages() -> None:
    places = [urlsplit(link) for link in re.findall(r"\((http://localhost[^)]+)\)", README)]
    assert len(places) >= 5
    for place in places:
        assert place.path.strip("/") in PAGES
        assert not place.query or parse_qs(place.query)


def test_every_command_is_in_the_readme() -> None:
    listed = set(re.findall(r"^\| `(?!python)(\w+)", README, re.MULTILINE))
    commands = _parser()._subparsers._group_actions[0].choices
    assert listed == set(commands)


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))])
def test_no_paragraph_is_long(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    plain = re.compile(r"(?![-|>#<]|\d+\.)\S")  # no list, table, quotation, heading or comment
    long = [
        block
        for block in re.split(r"\n\s*\n", text)
        if plain.match(block) and len(block.strip().splitlines()) > MOST_LINES
    ]
    assert long == []
