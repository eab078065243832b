"""What all tests rely on."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path

import pytest
import torch
from threadpoolctl import threadpool_info


def test_every_library_runs_on_the_threads_that_the_suite_names() -> None:
    wanted = int(os.environ["OMP_NUM_THREADS"])
    assert torch.get_num_threads() == wanted
    assert {pool["num_threads"] for pool in threadpool_info()} == {wanted}


def test_no_folder_of_tests_is_left_out(pytestconfig: pytest.Config) -> None:
    """A bug: `tests/build` has a name that pytest passes over unless told."""
    folders = {file.parent.name for file in Path(__file__).parent.rglob("test_*.py")}
    skipped = pytestconfig.getini("norecursedirs")
    assert "build" in folders
    assert not [name for name in folders if any(fnmatch(name, pattern) for pattern in skipped)]
