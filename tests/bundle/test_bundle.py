"""The on-disk format: opening, looking up, and every kind of damage found and named."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import explorer.bundle as module
from explorer.bundle import ARRAYS, MANIFEST, Bundle, Manifest, list_files, reseal_evidence, verify
from explorer.errors import BundleError, InputError
from tests.conftest import TINY_LAYERS, flip
from tests.support.altered import manifest_of, write_manifest

NEURONS = 128


def test_a_whole_bundle_verifies(tiny_bundle: Path) -> None:
    seen: list[str] = []
    assert verify(tiny_bundle, seen.append) == []
    assert Bundle.verify(str(tiny_bundle)) == []
    assert sorted(seen) == list_files(tiny_bundle)


def test_opening_is_quick_and_reads_arrays_when_asked(tiny_bundle: Path) -> None:
    began = time.process_time()
    bundle = Bundle.open(tiny_bundle)
    assert time.process_time() - began < 0.3
    for name in ARRAYS:
        array = getattr(bundle, name)
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
        assert getattr(bundle, name) is array
    with pytest.raises(AttributeError, match="surprises"):
        bundle.surprises  # noqa: B018


def test_arrays_have_the_stated_shapes(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    sizes = {
        "neuron": NEURONS * len(TINY_LAYERS),
        "embed": 24,
        "concept": 8,
        "end": 2,
        "place": 25,
        "image": 36,
        "bin": 48,
        "bin+1": 49,
        "neighbour": 12,
        "path": 6,  # two heads in each of the three blocks after layer 0
        "sample": 36,  # every corpus picture: there are fewer than asked for
        "coordinate": 2,
        "text": len(bundle.texts),
        "pair": 6,
        "word": 6,
        "strongest": 10,
    }
    for name, entry in ARRAYS.items():
        array = getattr(bundle, name)
        assert array.shape == tuple(sizes[axis] for axis in entry.axes), name
        assert array.dtype == entry.dtype, name
        assert entry.value_problem(array, sizes) == "", name
    for layer in TINY_LAYERS:
        array = bundle.mean_coefficients(layer)
        assert array.shape == (2 * (3 - layer), NEURONS)
        assert array.dtype == np.float32


def test_a_typo_is_an_error_of_the_type_checker(tmp_path: Path) -> None:
    (tmp_path / "typo.py").write_text(
        "from explorer.bundle import Bundle\n"
        "def look(bundle: Bundle) -> None:\n"
        "    reveal_type(bundle.directions)\n"
        "    bundle.directons\n",
        "utf-8",
    )
    # of all that is imported only what the answer needs is read, which takes a seventh of the time
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nfollow_imports = skip\nignore_missing_imports = True\n"
        "[mypy-explorer.*]\nfollow_imports = silent\n[mypy-numpy.*]\nfollow_imports = silent\n",
        "utf-8",
    )
    options = ["--config-file", str(tmp_path / "mypy.ini"), "--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(tmp_path / "typo.py")],
        capture_output=True,
        cwd=Path(module.__file__).parents[2],
        text=True,
        check=False,
    )
    assert 'Revealed type is "numpy.ndarray' in done.stdout and "_16Bit" in done.stdout
    assert '"Bundle" has no attribute "directons"' in done.stdout
    assert "Found 1 error" in done.stdout, done.stdout


def test_tables_texts_pictures_and_index_belong_together(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    assert bundle.name == "tiny"
    assert len(bundle.neurons) == NEURONS * len(TINY_LAYERS)
    assert bundle.neurons[["layer", "neuron"]].apply(tuple, axis=1).is_monotonic_increasing
    assert bundle.dictionary.texts == bundle.texts
    assert bundle.index.ntotal == len(bundle.texts)
    assert bundle.pictures.corpus_size == len(bundle.image_embeddings)
    assert bundle.mean_coefficients(2).shape == (2, NEURONS)
    assert bundle.manifest.counts["neurons"] == len(bundle.neurons)


def test_rows_are_found_by_layer_and_neuron(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    for row in (0, NEURONS - 1, NEURONS, 3 * NEURONS - 1):
        record = bundle.neurons.iloc[row]
        assert bundle.row(int(record["layer"]), int(record["neuron"])) == row
    with pytest.raises(InputError, match="choose one of 0, 1, 2"):
        bundle.row(3, 0)
    for neuron in (-1, NEURONS, "7"):
        with pytest.raises(InputError, match=f"choose 0 to {NEURONS - 1}"):
            bundle.row(1, neuron)
    with pytest.raises(InputError, match="choose one of"):
        bundle.mean_coefficients(9)


def test_the_model_comes_from_the_bundle(tiny_bundle: Path) -> None:
    loaded = Bundle.open(tiny_bundle).load_model()
    assert (loaded.embed, loaded.neurons) == (24, NEURONS)


def test_a_bundle_without_a_model_folder_names_its_model(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict = {}

    def load(source: str, **settings: object) -> str:
        asked.update(settings, source=source)
        return "model"

    manifest = Manifest.read(tiny_bundle)
    named = manifest.content()
    named["model"] |= {"source": "ViT-B-32", "pretrained": "openai"}
    monkeypatch.setattr("explorer.lens.models.load_model", load)
    monkeypatch.setattr(module, "MODEL_FOLDER", "elsewhere")
    bundle = Bundle(tiny_bundle, Manifest(**named))
    assert bundle.load_model(dtype="bfloat16") == "model"
    assert asked == {
        "source": "ViT-B-32",
        "pretrained": "openai",
        "pretrained_text": None,
        "device": "cpu",
        "dtype": "bfloat16",
    }


def test_one_byte_altered_in_any_file_is_found_and_named(bundle_copy: Path) -> None:
    rng = np.random.default_rng(1)
    for name in [*list_files(bundle_copy), MANIFEST]:
        file = bundle_copy / name
        before = file.read_bytes()
        flip(file, int(rng.integers(len(before))))
        problems = verify(bundle_copy)
        assert problems and name in problems[0], name
        assert "restore it" in problems[0] or "update" in problems[0], problems
        file.write_bytes(before)
    assert verify(bundle_copy) == []


def test_any_byte_of_the_manifest_counts(bundle_copy: Path) -> None:
    file = bundle_copy / MANIFEST
    before = file.read_bytes()
    rng = np.random.default_rng(0)
    blanks = [place for place, byte in enumerate(before) if byte in b" \n"]
    for place in [*rng.choice(len(before), 20), *rng.choice(blanks, 10), len(before) - 1]:
        changed = before[:place] + b"\t" + before[place + 1 :]
        file.write_bytes(changed)
        assert MANIFEST in verify(bundle_copy)[0], place


@pytest.mark.parametrize("check", ["open", "verify"])
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda file: file.unlink(), "is missing"),
        (lambda file: file.write_bytes(file.read_bytes()[:-3]), "should have"),
        (lambda file: file.write_bytes(file.read_bytes() + b"1"), "should have"),
    ],
)
def test_missing_and_truncated_files_are_named(bundle_copy, check, damage, words) -> None:
    damage(bundle_copy / "concept_ids.npy")
    if check == "verify":
        message = verify(bundle_copy)[0]
    else:
        with pytest.raises(BundleError) as caught:
            Bundle.open(bundle_copy)
        message = str(caught.value)
    assert "concept_ids.npy" in message
    assert words in message
    assert "build the bundle again" in message


@pytest.mark.parametrize("name", ["notes.txt", "model/more.bin", ".hidden/file", ".build/state"])
def test_a_file_too_many_is_found(bundle_copy: Path, name: str) -> None:
    (bundle_copy / name).parent.mkdir(exist_ok=True)
    (bundle_copy / name).write_text("x", "utf-8")
    problems = verify(bundle_copy)
    assert len(problems) == 1
    assert name in problems[0] and "remove it" in problems[0]
    Bundle.open(bundle_copy)


def rewrite(folder: Path, **changes: object) -> None:
    """Change the manifest, leave out what is None, and give it a digest that fits."""
    content = {**manifest_of(folder), **changes}
    write_manifest(folder, {key: value for key, value in content.items() if value is not None})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 2}, "schema 2 and this version reads 1; update"),
        ({"schema": True}, "schema True and this version reads 1"),
        ({"schema": 1.0}, "schema 1.0 and this version reads 1"),
        ({"layers": None}, "'layers' is missing"),
        ({"files": {}}, "does not list"),
    ],
)
def test_manifests_of_another_format_are_refused(bundle_copy, changes, words) -> None:
    rewrite(bundle_copy, **changes)
    with pytest.raises(BundleError, match=words):
        Bundle.open(bundle_copy)


@pytest.mark.parametrize("text", ["", "[]", "{}", "no json", "\xff"])
def test_a_manifest_that_is_none_is_refused(bundle_copy: Path, text: str) -> None:
    (bundle_copy / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(BundleError, match=r"manifest\.json is damaged"):
        Bundle.open(bundle_copy)


def test_folders_that_are_no_bundle_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="There is no bundle"):
        Bundle.open(tmp_path / "none")
    with pytest.raises(BundleError, match="not a finished bundle"):
        Bundle.open(tmp_path)
    assert "not a finished bundle" in verify(tmp_path)[0]
    (tmp_path / "file").touch()
    with pytest.raises(BundleError, match="that is a file, and a bundle a folder"):
        Bundle.open(tmp_path / "file")
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / MANIFEST).touch()
    with pytest.raises(BundleError, match=f"holds 2: name one, such as {tmp_path / 'one'}"):
        Bundle.open(tmp_path)


def test_damage_of_the_same_size_is_named_when_read(bundle_copy: Path) -> None:
    table, array = bundle_copy / "neurons.parquet", bundle_copy / "directions.npy"
    table.write_bytes(bytes(table.stat().st_size))
    bundle = Bundle.open(bundle_copy)
    with pytest.raises(BundleError, match=r"neurons\.parquet cannot be read"):
        bundle.neurons  # noqa: B018
    array.write_bytes(bytes(array.stat().st_size))
    with pytest.raises(BundleError, match=r"directions\.npy cannot be read"):
        Bundle.open(bundle_copy)


def test_keys_of_newer_versions_are_kept(bundle_copy: Path) -> None:
    content = manifest_of(bundle_copy)
    content |= {"colour": {"red": [1, None]}}
    content["texts"] |= {"language": "en"}
    content["settings"] |= {"hold_out": "twemoji"}
    write_manifest(bundle_copy, content)
    assert verify(bundle_copy) == []
    manifest = reseal_evidence(Bundle.open(bundle_copy), {"new": {"a": 1}}).manifest
    assert manifest.content() == content | {"evidence": {"new": {"a": 1}}}
    assert verify(bundle_copy) == []


def test_evidence_is_added_to_the_manifest(bundle_copy: Path) -> None:
    bundle = reseal_evidence(Bundle.open(bundle_copy), {"recall": {"recall@1": 0.5}})
    bundle = reseal_evidence(bundle, {"other": {"ä": 1}})
    assert bundle.manifest.evidence == {"recall": {"recall@1": 0.5}, "other": {"ä": 1}}
    assert verify(bundle_copy) == []
