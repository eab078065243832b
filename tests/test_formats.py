"""How names of files are written."""

from __future__ import annotations

import pytest

from explorer.formats import file_stem


@pytest.mark.parametrize(
    ("text", "stem"),
    [
        ("Ünder “the” sea!/..", "under-the-sea"),
        ("Crème Brûlée", "creme-brulee"),
        ("!?", "other"),
        ("a" * 12 + " b", "a" * 12),
        ("", "other"),
    ],
)
def test_names_of_files_are_plain(text: str, stem: str) -> None:
    """A bug: two of three functions put a dash for a letter with an accent."""
    assert file_stem(text, "other", 13) == stem
