"""Bundles on the move: whole on arrival, or refused; a stopped transfer goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.bundle import MANIFEST, Bundle, Manifest, verify
from explorer.bundle.transfer import pull, push
from explorer.commands.main import main
from explorer.errors import BundleError, InputError
from tests.conftest import flip


def quiet(line: str) -> None:
    """Take progress and say nothing."""


@pytest.mark.parametrize("scheme", ["folder", "memory"])
def test_there_and_back(scheme: str, tiny_bundle: Path, tmp_path: Path) -> None:
    address = f"memory://there-{tmp_path.name}" if scheme == "memory" else str(tmp_path / "there")
    size = sum(facts["bytes"] for facts in Manifest.read(tiny_bundle).files.values())
    assert push(tiny_bundle, address, quiet)["sent_bytes"] == size
    assert push(tiny_bundle, address, quiet)["sent_bytes"] == 0  # it is there
    assert pull(address, tmp_path / "back", quiet)["fetched_bytes"] == size
    assert verify(tmp_path / "back") == []
    assert Manifest.read(tmp_path / "back") == Manifest.read(tiny_bundle)
    assert sorted(p.name for p in tmp_path.iterdir()) == (
        ["back", "there"] if scheme == "folder" else ["back"]
    )
    with pytest.raises(BundleError, match="holds a bundle already"):
        pull(address, tmp_path / "back", quiet)


def test_what_is_altered_on_the_way_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    push(tiny_bundle, str(tmp_path / "there"), quiet)
    flip(tmp_path / "there" / "directions.npy")
    with pytest.raises(BundleError, match=r"directions\.npy is not as the manifest"):
        pull(str(tmp_path / "there"), tmp_path / "back", quiet)
    assert not (tmp_path / "back").exists()
    push(tiny_bundle, str(tmp_path / "there"), quiet)  # sends that file alone
    pull(str(tmp_path / "there"), tmp_path / "back", quiet)
    assert verify(tmp_path / "back") == []


def test_a_stopped_pull_goes_on(tiny_bundle: Path, tmp_path: Path) -> None:
    lines: list[str] = []

    def stopping(line: str) -> None:
        lines.append(line)
        if len(lines) == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(str(tiny_bundle), tmp_path / "back", stopping)
    assert not (tmp_path / "back").exists()
    with pytest.raises(BundleError):
        Bundle.open(tmp_path / "back.part")
    again: list[str] = []
    pull(str(tiny_bundle), tmp_path / "back", again.append)
    assert not set(again) & set(lines[:5])
    assert verify(tmp_path / "back") == []


def test_a_stopped_push_is_no_bundle(tiny_bundle: Path, tmp_path: Path) -> None:
    def stopping(line: str) -> None:
        if "texts" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        push(tiny_bundle, str(tmp_path / "there"), stopping)
    assert not (tmp_path / "there" / MANIFEST).exists()
    with pytest.raises(BundleError, match="no whole bundle at"):
        pull(str(tmp_path / "there"), tmp_path / "back", quiet)
    file = tmp_path / "there" / "directions.npy"
    before = file.stat().st_mtime_ns
    push(tiny_bundle, str(tmp_path / "there"), quiet)
    assert file.stat().st_mtime_ns == before


def test_places_that_are_none(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=r"nowhere://x cannot be reached"):
        push(tiny_bundle, "nowhere://x", quiet)
    (tmp_path / "mine.txt").write_text("precious", "utf-8")
    with pytest.raises(InputError, match="is not empty"):
        pull(str(tiny_bundle), tmp_path, quiet)
    assert main(["pull", str(tmp_path / "nothing"), str(tmp_path / "back")]) == 2
    assert "no whole bundle at" in capsys.readouterr().err
