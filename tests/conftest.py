"""A tiny model, a few drawn pictures with labels, and the bundle built from them."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from PIL import Image, ImageDraw

from explorer.build import BuildSettings, build
from explorer.bundle import MANIFEST, Bundle, reseal_evidence, verify
from explorer.bundle.pictures import PictureStore
from tests.support.tiny import save_tiny
from tests.support.told import told, untested

COLOURS = ("red", "green", "blue", "black", "orange", "purple")
SHAPES = ("circle", "square", "triangle")
HELD_OUT = 4
TINY_LAYERS = (0, 1, 2)


def draw(colour: str, shape: str, size: int = 10, place: int = 0, side: int = 40) -> Image.Image:
    """Return one shape on a transparent ground."""
    picture = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    pen = ImageDraw.Draw(picture)
    x, y = 6 + 5 * (place % 3), 6 + 5 * (place // 3 % 3)
    box = (x, y, x + size, y + size)
    if shape == "circle":
        pen.ellipse(box, fill=colour)
    elif shape == "square":
        pen.rectangle(box, fill=colour)
    else:
        pen.polygon([(x, y + size), (x + size, y + size), (x + size // 2, y)], fill=colour)
    return picture


def png(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def picture_rows() -> Iterator[tuple[dict, bytes]]:
    """Yield 36 corpus pictures and four held-out ones."""
    every = [(colour, shape, size) for size in (10, 16) for colour in COLOURS for shape in SHAPES]
    for number, (colour, shape, size) in enumerate(every):
        yield facts_of(colour, shape, number), png(draw(colour, shape, size, number))
    for number, colour in enumerate(COLOURS[:HELD_OUT]):
        facts = facts_of(colour, "circle", number) | {"split": "heldout", "source": "unseen"}
        yield facts, png(draw(colour, "circle", 22, number))


def facts_of(colour: str, shape: str, number: int) -> dict:
    return {
        "label": f"{colour} {shape}",
        "concept": shape,
        "keywords": f"{shape}, {colour}",
        "looks": colour,
        "source": "drawn",
        "name": f"{colour}-{shape}-{number}",
        "author": "nobody",
        "licence": "CC0-1.0",
        "kind": "colour",
        "split": "corpus",
    }


def flip(file: Path, place: int = -1) -> None:
    """Change one byte of a file."""
    data = bytearray(file.read_bytes())
    data[place if place >= 0 else len(data) // 2] ^= 0x01
    file.write_bytes(data)


def settings_for(out: Path, model: Path, store: Path, /, **changes: object) -> BuildSettings:
    """Return the settings of the tiny bundle, with changes."""
    settings: dict = {
        "model": f"local-dir:{model}",
        "images": f"store:{store}",
        "texts": "corpus",
        "layers": ",".join(map(str, TINY_LAYERS)),
        "out": out,
        "nonzero": 8,
        "batch_size": 5,
        "warm_up": 12,
        "significant": 0.1,
        "significant_cap": 6,
    }
    return BuildSettings(**(settings | changes))


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return a folder that `make` fills once for all processes of the run; do not change it.

    The first process that asks fills it, the others wait.
    """
    top = factory.getbasetemp()
    folder = (top.parent if "PYTEST_XDIST_WORKER" in os.environ else top) / "shared" / name
    whole = folder.with_suffix(".whole")
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if not whole.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a process that failed on the way
            folder.mkdir()
            make(folder)
            whole.touch()
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random CLIP of four layers, 32-pixel input, 128 neurons a layer."""
    return made_once(
        tmp_path_factory, "model", lambda folder: save_tiny(folder, width=32, heads=2, embed=24)
    )


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture store of 36 drawn pictures and four held-out ones."""
    return made_once(
        tmp_path_factory, "store", lambda folder: PictureStore.write(folder, picture_rows())
    )


@pytest.fixture(scope="session")
def tiny_bundle(
    tmp_path_factory: pytest.TempPathFactory, tiny_model: Path, tiny_store: Path
) -> Iterator[Path]:
    """The path of a whole bundle: three layers of the tiny model over the drawn pictures.

    Shared by all tests: copy it (`bundle_copy`) before changing it.
    """

    def make(folder: Path) -> None:
        settings = settings_for(folder / "tiny", tiny_model, tiny_store)
        build(settings, progress=lambda line: None)

    path = made_once(tmp_path_factory, "precomputed", make) / "tiny"
    manifest = (path / MANIFEST).read_bytes()
    yield path
    assert (path / MANIFEST).read_bytes() == manifest, "a test changed the shared bundle"
    assert verify(path) == []


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of another model, over some of the tiny bundle's pictures, in another order."""

    def make(folder: Path) -> None:
        save_tiny(folder / "model", width=32, heads=2, embed=24, seed=5)
        rows = list(picture_rows())[:36]
        new = [(facts_of("red", "circle", 0), png(draw("red", "circle", 30, 0)))]
        PictureStore.write(folder / "store", [*rows[:3:-1], *new])
        settings = settings_for(
            folder / "bundle", folder / "model", folder / "store", layers="1,2", nulls=50
        )
        build(settings, lambda line: None)

    return made_once(tmp_path_factory, "other", make) / "bundle"


@pytest.fixture(scope="session")
def told_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with neurons that pass by plan; see `tests.support.told`."""
    return told(tiny_bundle, tmp_path_factory.mktemp("told") / "told")


@pytest.fixture(scope="session")
def untested_bundle(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle as it was before neurons were compared with chance."""
    return untested(tiny_bundle, tmp_path_factory.mktemp("untested") / "untested")


@pytest.fixture(scope="session")
def measured(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tiny bundle that holds all evidence; shared too."""
    from explorer.evidence import EvidenceSettings, measure
    from explorer.evidence.measures.discovery import measure_discovery
    from explorer.evidence.measures.segmentation import measure_segmentation
    from tests.support.evidence import SMALL, few_resamples

    def make(folder: Path) -> None:
        bundle = Bundle.open(Path(shutil.copytree(tiny_bundle, folder / "tiny")))
        found = measure(bundle, ["claims"], EvidenceSettings(**SMALL))
        found["segmentation"] = measure_segmentation(
            bundle, scenes=3, photographic=0, calibration=2, methods=("second-order", "rollout")
        )
        with pytest.MonkeyPatch.context() as patch:
            few_resamples(patch)
            found["discovery"] = measure_discovery(bundle, scenes=3)
        reseal_evidence(bundle, found)

    return made_once(tmp_path_factory, "measured", make) / "tiny"


@pytest.fixture
def bundle_copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    """A copy of the tiny bundle that a test may damage."""
    return Path(shutil.copytree(tiny_bundle, tmp_path / "tiny"))


@pytest.fixture(autouse=True, scope="session")
def _findings_elsewhere(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Pages keep findings in a folder of the tests, never in the user's own."""
    os.environ["EXPLORER_DATA"] = str(tmp_path_factory.mktemp("data"))
    os.environ.pop("EXPLORER_DATABASE_URL", None)
