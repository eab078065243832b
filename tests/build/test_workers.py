"""Worker processes, and what the model sees of pictures: the same with and without either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.build import build
from explorer.build.listed import ListedSource, Reading
from explorer.build.listings import FolderListing
from explorer.build.views import KeptViews, Viewer
from explorer.build.workers import FEW, in_order, worker_count
from explorer.bundle import Manifest
from explorer.errors import InputError
from explorer.lens.models import load_model
from explorer.pixels import to_rgb
from tests.conftest import draw, picture_rows, settings_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked")


def quiet(line: str) -> None:
    """Take progress and say nothing."""


def squared(number: int) -> tuple[int, int]:
    if number == 7:
        raise InputError("seven is no number for this")
    return number**2, os.getpid()


def test_results_come_in_order_from_other_processes() -> None:
    state = torch.get_rng_state()
    with in_order(squared, list(range(7)), 2) as results:
        found = list(results)
    assert [value for value, _ in found] == [n**2 for n in range(7)]
    assert os.getpid() not in {process for _, process in found}
    assert torch.equal(torch.get_rng_state(), state)
    with in_order(squared, [3], 0) as results:
        assert list(results) == [(9, os.getpid())]


def test_an_error_of_a_worker_keeps_its_words_and_its_place() -> None:
    with in_order(squared, list(range(9)), 2) as results:
        assert [next(results)[0] for _ in range(7)] == [n**2 for n in range(7)]
        with pytest.raises(InputError, match=r"^seven is no number for this$"):
            next(results)


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_workers_are_gone_when_the_work_is_left() -> None:
    before = children()
    with in_order(squared, list(range(6)), 2) as results:
        next(results)
        assert len(children() - before) >= 2
    assert children() <= before


def test_few_pictures_need_no_workers() -> None:
    assert worker_count(None, FEW - 1) == 0
    assert worker_count(None, FEW) >= 1
    assert worker_count(3, 10) == 3
    assert worker_count(3, 0) == 0


def test_ctrl_c_ends_workers_and_all(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from explorer.build.workers import in_order\n"
        "def slow(n):\n"
        "    time.sleep(0.05); print(n, flush=True); return n\n"
        "try:\n"
        "    with in_order(slow, range(10**6), 2) as found:\n"
        "        for n in found: pass\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    for _ in range(100):  # the group is empty: no worker outlives it
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("a worker outlived Ctrl-C")


# What the model sees.


def test_a_view_is_the_preprocessed_picture(tiny_model: Path) -> None:
    loaded = load_model(f"local-dir:{tiny_model}")
    viewer = Viewer.of(loaded)
    pictures = [draw("red", "circle"), draw("blue", "square").convert("L"), draw("green", "circle")]
    views = np.stack([viewer.view(picture) for picture in pictures])
    assert views.dtype == np.uint8 and views.shape == (3, 32, 32, 3)
    wanted = torch.stack([loaded.preprocess(to_rgb(picture)) for picture in pictures])
    assert torch.equal(viewer.tensor(views), wanted)


def test_a_preprocessing_of_another_kind_is_left_whole(tiny_model: Path) -> None:
    loaded = load_model(f"local-dir:{tiny_model}")
    whole = loaded.preprocess
    object.__setattr__(loaded, "preprocess", lambda picture: whole(picture) + 1)
    viewer, picture = Viewer.of(loaded), draw("red", "circle")
    assert viewer.finish is None
    wanted = loaded.preprocess(to_rgb(picture))[None]
    assert torch.equal(viewer.tensor(np.stack([viewer.view(picture)])), wanted)
    assert Reading(0, KeptViews(Path(), 32), viewer).keeper(3) is None


def test_kept_views_follow_the_images_numbers(tiny_model: Path, tmp_path: Path) -> None:
    folder, work = tmp_path / "in", tmp_path / "work"
    work.mkdir()
    for n in range(9):
        (folder / f"label {n % 3}").mkdir(parents=True, exist_ok=True)
        draw("red", "circle", 8 + n, n).save(folder / f"label {n % 3}" / f"{n}.png")
    (folder / "label 0" / "broken.png").write_bytes(b"no picture")
    viewer = Viewer.of(load_model(f"local-dir:{tiny_model}"))
    kept = KeptViews(work, 32)
    for workers in (0, 2):
        source = ListedSource(FolderListing(folder), hold_out=0.3)
        rows = list(source.rows(16, Reading(workers, kept, viewer)))
        assert [r["split"] for r, _ in rows] == ["corpus"] * 6 + ["heldout"] * 3
        views = kept.open()
        assert views is not None
        numbers = np.array([8, 0, 5])
        wanted = np.stack([viewer.view(source.picture(n)) for n in numbers])
        assert np.array_equal(views(numbers), wanted)
        assert [line.split(":")[0] for line in source.skipped] == ["label 0/broken.png"]


def test_a_disk_without_room_keeps_no_views(tiny_model: Path, tmp_path: Path) -> None:
    viewer = Viewer.of(load_model(f"local-dir:{tiny_model}"))
    kept = KeptViews(tmp_path, 32)
    assert Reading(0, kept, viewer).keeper(10) == (kept, viewer)
    assert Reading(0, kept, viewer).keeper(10**15) is None
    assert kept.open() is None


def test_workers_change_no_bit(
    tiny_bundle: Path, tiny_model: Path, tiny_store: Path, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path / "b", tiny_model, tiny_store, workers=2)
    build(settings, quiet)
    assert Manifest.read(settings.out).files == Manifest.read(tiny_bundle).files


def test_a_folder_and_its_kept_views_give_one_bundle(tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number, (_, data) in enumerate(picture_rows()):
        (folder / f"{number:02}.png").write_bytes(data)
    found = []
    for name, workers, room in (("kept", 2, 0.5), ("decoded", 0, 0.0), ("ahead", 2, 0.0)):
        settings = settings_for(
            tmp_path / name, tiny_model, folder, images=str(folder), texts="common", words=60,
            layers="2", nulls=50, workers=workers, name="one",
        )  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("explorer.build.views.SHARE", room)
            build(settings, quiet)
        found.append(Manifest.read(settings.out).files)
    assert found[0] == found[1] == found[2]


def test_pictures_of_all_modes_are_seen_in_colour(tiny_model: Path) -> None:
    viewer = Viewer.of(load_model(f"local-dir:{tiny_model}"))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"):
        picture = Image.new("L" if mode == "I;16" else mode, (20, 30))
        assert viewer.view(picture).shape == (32, 32, 3)
