"""Builds that are killed, that meet in one folder, or that find no room."""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from explorer.build import Interrupted, build, run
from explorer.build.lock import held
from explorer.build.room import needing_room
from explorer.bundle import MANIFEST, WORK, Bundle, Manifest, verify
from explorer.errors import BundleError, InputError
from tests.conftest import settings_for
from tests.support.killing import opens


def quiet(line: str) -> None:
    """Take progress and say nothing."""


def killed_at(moments: list[str], model: Path, store: Path, folder: Path) -> dict:
    command = [sys.executable, "-m", "tests.support.killing", model, store, folder, *moments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_killed(found: dict, moments: list[str]) -> None:
    assert found["killed"] >= 1, moments
    assert not found["early"], moments
    assert found["equal"], moments
    assert found["left"] == [], moments


def test_a_killed_build_goes_on_to_the_same_bundle(
    tiny_model: Path, tiny_store: Path, tmp_path: Path
) -> None:
    moments = ["0.1+2", "0.5", "0.97"]  # pictures or pass, arrays, seal
    check_killed(killed_at(moments, tiny_model, tiny_store, tmp_path), moments)


@pytest.mark.fuzz
def test_builds_killed_at_any_moment(tiny_model: Path, tiny_store: Path, tmp_path: Path) -> None:
    rng = random.Random(0)
    moments = [f"{rng.random() ** 2:.4f}+{rng.choice([0, 1, 5, 20, 80])}" for _ in range(26)]
    found = killed_at(moments, tiny_model, tiny_store, tmp_path)
    check_killed(found, moments)
    assert found["killed"] >= 15  # some moments lie behind what was left to do


# Two builds.


HOLD = """
import sys
from pathlib import Path
from explorer.build.lock import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_build_is_refused_until_the_first_ones_process_ends(
    tiny_model: Path, tiny_store: Path, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "b", tiny_model, tiny_store, layers="2", nulls=50)
    command = [sys.executable, "-c", HOLD, str(settings.out)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match=r"Another build is working in .*another --out"):
            build(settings, quiet)
        first.kill()
    build(settings, quiet)
    assert verify(settings.out) == []


def test_what_is_refused_leaves_no_folder(
    tiny_model: Path, tiny_store: Path, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "b", tiny_model, tiny_store, layers="7")
    with pytest.raises(InputError, match="0 to 2"):
        build(settings, quiet)
    assert list(tmp_path.iterdir()) == []


def test_a_lock_keeps_what_a_folder_holds(tmp_path: Path) -> None:
    with held(tmp_path):
        (tmp_path / "mine.txt").write_text("precious", "utf-8")
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


def test_a_build_killed_behind_its_last_step_is_tidied(bundle_copy: Path) -> None:
    work = bundle_copy / WORK
    work.mkdir()
    (work / "settings.json").write_text("{}", "utf-8")
    manifest = Manifest.read(bundle_copy)
    settings = settings_for(bundle_copy, Path("unused"), Path("unused"), name=manifest.name)
    lines: list[str] = []
    assert build(settings, lines.append) == bundle_copy
    assert "is built already" in lines[0]
    assert not work.exists()
    assert verify(bundle_copy) == []


def test_what_a_kill_left_of_a_manifest_is_none_of_the_bundle(
    tiny_bundle: Path, tiny_model: Path, tiny_store: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    settings = settings_for(tmp_path / "b", tiny_model, tiny_store)

    def pressed(*_: object, **__: object) -> None:
        (settings.out / f"{MANIFEST}.new").write_text("{half", "utf-8")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(run, "seal", pressed)
        build(settings, quiet)
    assert not opens(settings.out)
    build(settings, quiet)
    assert Manifest.read(settings.out).files == Manifest.read(tiny_bundle).files
    assert verify(settings.out) == []


# No room.


@contextmanager
def little_room(most: int) -> Iterator[None]:
    """Let this process write no file longer than so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [2_000, 40_000])
def test_a_build_without_room_says_so_and_goes_on_later(
    room: int, tiny_model: Path, tiny_store: Path, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "b", tiny_model, tiny_store, layers="2", nulls=50)
    with pytest.raises(InputError, match=r"^The disk is full .*$"), little_room(room):
        build(settings, quiet)
    assert not opens(settings.out)
    build(settings, quiet)
    assert verify(settings.out) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_device_is_one_sentence(tmp_path: Path) -> None:
    full = Path("/dev/full")
    sentence = r"The disk is full \(.*No space.*\): make room"
    with pytest.raises(InputError, match=sentence), needing_room(tmp_path):
        full.write_bytes(b"x" * 10_000)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_folder_that_found_no_room_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "large.bin").write_bytes(b"x" * 10_000)

    def copy(source: str, target: str) -> None:
        with Path(source).open("rb") as stream, Path("/dev/full").open("wb") as full:
            shutil.copyfileobj(stream, full)

    sentence = r"The disk is full \(\[Errno 28\] No space left on device\): make room"
    with pytest.raises(InputError, match=sentence), needing_room(tmp_path):
        shutil.copytree(tmp_path / "from", tmp_path / "to", copy_function=copy)


def test_other_errors_keep_their_own_words(tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < 2**21:
        pytest.skip("this disk is full indeed")
    with pytest.raises(FileNotFoundError), needing_room(tmp_path):
        (tmp_path / "none").read_bytes()
    with pytest.raises(BundleError), needing_room(tmp_path):
        Bundle.open(tmp_path / "none")
