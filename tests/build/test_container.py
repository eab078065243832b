"""The limits of a container: of version 2 and 1, of its own group and those above it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from explorer.build import container, memory, workers
from explorer.build.settings import BuildSettings

GIB = 2**30


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """A process in the groups /a/b of either version, no limits."""
    (tmp_path / "mine").write_text("4:memory:/a/b\n1:cpu,cpuacct:/a/b\n0::/a/b\n", "utf-8")
    return tmp_path


def write(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(f"{content}\n", "utf-8")


def left(groups: Path) -> float:
    return container.memory_left(groups, groups / "mine")


def cores(groups: Path) -> float:
    return container.cores(groups, groups / "mine")


def test_no_limits(groups: Path) -> None:
    assert left(groups) == cores(groups) == math.inf
    assert container.memory_left(groups, groups / "none") == math.inf
    write(groups / "a", memory__max="max", memory__current=5, cpu__max="max 100000")
    write(groups / "memory/a", memory__limit_in_bytes=2**63 - 4096, memory__usage_in_bytes=5)
    write(groups / "memory/a", memory__stat="total_inactive_file 0")
    write(groups / "cpu/a", cpu__cfs_quota_us=-1, cpu__cfs_period_us=100000)
    assert left(groups) > 2**62 and cores(groups) == math.inf


def test_version_2_counts_the_tightest_group_and_not_what_can_be_dropped(groups: Path) -> None:
    stat = f"anon {GIB}\nfile {3 * GIB}\ninactive_file {2 * GIB}\nactive_file {GIB}"
    for name, most in (("a", 6 * GIB), ("a/b", 8 * GIB)):
        write(groups / name, memory__max=most, memory__current=4 * GIB, memory__stat=stat)
    write(groups / "a/b", cpu__max="150000 100000")
    assert left(groups) == 4 * GIB
    assert cores(groups) == 1.5
    write(groups / "a/b", memory__max=GIB)
    assert left(groups) == 0


def test_inside_a_container_the_top_is_its_own_group(groups: Path) -> None:
    write(groups, memory__max=GIB, memory__current=0, memory__stat="inactive_file 0")
    write(groups, cpu__max="50000 100000")
    assert left(groups) == GIB and cores(groups) == 0.5  # /a/b is the name outside


def test_version_1(groups: Path) -> None:
    write(groups / "memory/a/b", memory__limit_in_bytes=3 * GIB, memory__usage_in_bytes=2 * GIB)
    write(groups / "memory/a/b", memory__stat=f"inactive_file 1\ntotal_inactive_file {GIB}")
    write(groups / "cpu/a", cpu__cfs_quota_us=200_000, cpu__cfs_period_us=100_000)
    assert left(groups) == 2 * GIB
    assert cores(groups) == 2


def test_a_build_keeps_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = BuildSettings(model="ViT-B-32", out=Path("out"))
    monkeypatch.setattr(container, "memory_left", lambda: 1e6)
    assert memory.room_for(settings, model=1000) == memory.SPARE * 1e6 - 1000
    monkeypatch.setattr(container, "memory_left", lambda: math.inf)
    assert memory.room_for(settings) > 1e6
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(12), raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    for allowed, count in ((math.inf, 12), (2.5, 2), (0.5, 1)):
        monkeypatch.setattr(container, "cores", lambda allowed=allowed: allowed)
        assert workers.worker_count(None, workers.FEW) == count
