"""What all tests rely on."""

from __future__ import annotations

import os

import torch
from threadpoolctl import threadpool_info


def test_every_library_runs_on_the_threads_that_the_suite_names() -> None:
    wanted = int(os.environ["OMP_NUM_THREADS"])
    assert torch.get_num_threads() == wanted
    assert {pool["num_threads"] for pool in threadpool_info()} == {wanted}
