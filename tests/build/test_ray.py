"""Builds on Ray: the bits of a local build, whoever dies, on one machine and on two."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from explorer.build import BuildSettings, build
from explorer.bundle import WORK, Manifest, verify
from explorer.errors import InputError
from tests.conftest import settings_for
from tests.support.cluster import QUIET, two_machines
from tests.support.many import write_files, write_many

pytestmark = pytest.mark.ray

PATIENCE = 150  # seconds
WORKING = b"ray::_gather_part"
PARTS = {"engine": "ray", "ray_part": 128, "ray_cpus": 1}
SAME = {"batch_size": 32, "warm_up": 100, "nulls": 50, "name": "many", "layers": "1,2"}


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of pictures enough for several parts."""
    return write_many(tmp_path_factory.mktemp("many") / "store")


@pytest.fixture(scope="module")
def local(many: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle that a local build makes of them."""
    out = tmp_path_factory.mktemp("local") / "many"
    return build(settings_for(out, tiny_model, many, **SAME), lambda line: None)


@pytest.fixture(scope="module")
def two_workers() -> Iterator[str]:
    """The address of a Ray of this machine, with two workers, that builds in this process find."""
    import ray

    os.environ.update(QUIET)
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    ray.init("local", num_cpus=2, **quiet)
    yield ray.get_runtime_context().gcs_address
    ray.shutdown()


def parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def working(ancestor: int) -> list[int]:
    """The Ray workers below a process that see a part at this moment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cmdline").read_bytes().startswith(WORKING):
                up = int(folder.name)
                while up > 1 and up != ancestor:
                    up = parent(up)
                found += [int(folder.name)] if up == ancestor else []
        except OSError:
            continue
    return found


def wait_until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def parts_of(out: Path) -> list[str]:
    return sorted(folder.name for folder in (out / WORK / "parts").glob("*-*"))


def check_same(out: Path, local: Path) -> None:
    assert Manifest.read(out).files == Manifest.read(local).files
    assert verify(out) == []
    assert not (out / WORK).exists()


def test_a_worker_killed_in_mid_build_costs_no_bit(
    two_workers: str, local: Path, many: Path, tiny_model: Path, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "b", tiny_model, many, **SAME, **PARTS)
    lines: list[str] = []

    def kill_one() -> None:
        wait_until(lambda: parts_of(settings.out))
        while not any("lost its worker" in line for line in lines):
            for worker in working(os.getpid())[:1]:
                os.kill(worker, signal.SIGKILL)
            time.sleep(0.5)

    killer = threading.Thread(target=kill_one, daemon=True)
    killer.start()
    build(settings, lines.append)
    assert "ray: 2 workers of 1 CPU on 1 machine" in lines
    assert "ray: 5 parts of 128 images or fewer" in lines
    assert any("lost its worker; it is given out again" in line for line in lines)
    check_same(settings.out, local)


def command_of(settings: BuildSettings) -> list[str]:
    given = {name: value for name, value in vars(settings).items() if value not in (None, "")}
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    return [sys.executable, "-m", "explorer", "build", *options]


def test_a_build_whose_process_is_killed_goes_on_with_the_parts_it_kept(
    two_workers: str, local: Path, many: Path, tiny_model: Path, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "b", tiny_model, many, **SAME, **PARTS)
    command = [*command_of(settings), "--ray-address", two_workers]
    first = subprocess.Popen(command, env={**os.environ, **QUIET})
    wait_until(lambda: first.poll() is not None or parts_of(settings.out))
    first.kill()
    first.wait()
    kept = len(parts_of(settings.out))
    assert kept and not (settings.out / "manifest.json").exists()
    lines: list[str] = []
    build(settings, lines.append)
    check_same(settings.out, local)


def test_a_local_build_goes_on_where_ray_stopped(
    two_workers: str, local: Path, many: Path, tiny_model: Path, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "b", tiny_model, many, **SAME, **PARTS, save_minutes=0.0)

    def press(line: str) -> None:
        if line.startswith("pass ["):
            signal.raise_signal(signal.SIGINT)  # to this thread: Ray has others

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # nohup ignores it
    try:
        with pytest.raises(KeyboardInterrupt, match="run the same command to go on"):
            build(settings, press)
    finally:
        signal.signal(signal.SIGINT, before)
    assert list((settings.out / WORK).glob("pass-*"))
    lines: list[str] = []
    build(settings_for(settings.out, tiny_model, many, **SAME), lines.append)
    assert not any(line.startswith("ray") for line in lines)
    check_same(settings.out, local)


def test_more_cores_than_a_machine_has_is_one_sentence(
    two_workers: str, many: Path, tiny_model: Path, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "b", tiny_model, many, engine="ray", ray_cpus=64)
    with pytest.raises(InputError, match=r"--ray-cpus is 64, and the largest .* has 2"):
        build(settings, lambda line: None)


def test_two_machines_one_of_which_cannot_read_the_pictures(
    many: Path, tiny_model: Path, tmp_path: Path
) -> None:
    pictures = write_files(many, tmp_path / "pictures")
    same = SAME | {"images": str(pictures), "layers": "2", "hold_out": 0.0}
    wanted = build(settings_for(tmp_path / "local", tiny_model, many, **same), lambda line: None)
    settings = settings_for(pictures / "b", tiny_model, many, **same, **PARTS)
    with two_machines(pictures) as cluster:
        command = [*cluster.first, *command_of(settings), "--ray-address", cluster.address]
        done = subprocess.run(
            command, env=cluster.environment, capture_output=True, text=True, check=False,
            timeout=PATIENCE,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 workers of 1 CPU on 2 machines" in done.stderr
    assert ("out of its worker's reach" in done.stderr) == cluster.apart
    check_same(settings.out, wanted)


def test_no_cluster_at_an_address_is_one_sentence() -> None:
    from explorer.build.ray_engine import connect

    for address in ("127.0.0.1:9", "ray://127.0.0.1:9"):
        with pytest.raises(InputError, match=f"No Ray cluster answers at {address} .*ray start"):
            connect(address)
