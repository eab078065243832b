"""Bundles on the move: whole on arrival, or refused; a stopped transfer goes on."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from explorer.bundle import MANIFEST, Bundle, Manifest, transfer, verify
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


class Endless(io.RawIOBase):
    """A file without end, of which a reader may take so many bytes."""

    def __init__(self, most: int) -> None:
        self.left = most

    def read(self, size: int = -1) -> bytes:
        assert 0 < size <= self.left, "more is read than the file can have"
        self.left -= size
        return bytes(size)


class Strange(LocalFileSystem):
    """Folders of which one file has no end, or may not be read."""

    name = "manifest.json"
    endless = True

    def open(self, path: str, *args: object, **kwargs: object) -> object:
        if not path.endswith(self.name):
            return super().open(path, *args, **kwargs)
        if self.endless:
            return Endless(2**26 + 2**21 if self.name == MANIFEST else 2**22)
        raise RuntimeError("403, message='Forbidden'\n")  # as aiohttp's, which is no OSError

    def put_file(self, *args: object, **kwargs: object) -> None:
        raise RuntimeError("403, message='Forbidden'")


@pytest.mark.parametrize("name", ["manifest.json", "directions.npy"])
@pytest.mark.parametrize("endless", [True, False])
def test_files_without_end_and_refusals_are_one_sentence(
    name: str, endless: bool, tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    there = Strange(skip_instance_cache=True)
    there.name, there.endless = name, endless
    monkeypatch.setattr(transfer, "_place", lambda address: (there, address))
    assert main(["pull", str(tiny_bundle), str(tmp_path / "back")]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ")
    assert ("push that bundle again" if endless else "cannot be read (403, ") in said
    assert not (tmp_path / "back").exists()
    if endless:
        assert not list(tmp_path.rglob(f"{name}*"))
    else:
        assert main(["push", str(tiny_bundle), str(tmp_path / "out")]) == 2
        assert "cannot be written to (403, " in capsys.readouterr().err.splitlines()[-1]


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
    with pytest.raises(InputError, match=r"holds other files, such as mine\.txt"):
        push(tiny_bundle, str(tmp_path), quiet)
    with pytest.raises(InputError, match=r"mine\.txt is a file: name a folder"):
        push(tiny_bundle, str(tmp_path / "mine.txt"), quiet)
    with pytest.raises(InputError, match="The address is empty"):  # else: the current folder
        push(tiny_bundle, "", quiet)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(InputError, match="is not empty"):
        pull(str(tiny_bundle), tmp_path, quiet)
    assert main(["pull", str(tmp_path / "nothing"), str(tmp_path / "back")]) == 2
    assert "no whole bundle at" in capsys.readouterr().err
