"""Parts of a pass, seen apart and merged: the bits of one stream; and what stands in their way."""

from __future__ import annotations

import pickle
import shutil
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from explorer.build import BuildSettings, build
from explorer.build.corpus import Corpus
from explorer.build.gathering import Gathering, PassResult, batches_of, stream
from explorer.build.parts import Job, PartGatherer, digest, head_size, part_size, places_of
from explorer.build.sources import ListedSource, StoreSource, open_source
from explorer.bundle.pictures import PictureStore
from explorer.errors import InputError
from explorer.lens.models import load_model
from tests.conftest import settings_for
from tests.support.many import write_files, write_many

IMAGES = 420


def nothing(*_: object) -> None:
    """Save and say nothing."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_many(tmp_path_factory.mktemp("many"), IMAGES)


@pytest.fixture(scope="module")
def settings(tiny_model: Path, store: Path) -> BuildSettings:
    changes = {"batch_size": 32, "warm_up": 40, "layers": "0,2", "ray_part": 100}
    return settings_for(Path("unused"), tiny_model, store, **changes)


@pytest.fixture(scope="module")
def corpus(tiny_model: Path, store: Path) -> Corpus:
    halves = (np.arange(IMAGES) % 2).astype(np.int8)
    source = StoreSource(PictureStore.open(store), "many")
    return Corpus(load_model(f"local-dir:{tiny_model}"), [0, 2], source, IMAGES, halves)


@pytest.fixture(scope="module")
def order() -> np.ndarray:
    return np.random.default_rng(0).permutation(IMAGES).astype(np.int64)


@pytest.fixture(scope="module")
def whole(corpus: Corpus, settings: BuildSettings, order: np.ndarray) -> PassResult:
    gather = Gathering(corpus, settings)
    stream(corpus, gather, order, settings, nothing, nothing)
    return gather.finish(corpus.halves)


@pytest.fixture
def begun(corpus: Corpus, settings: BuildSettings, order: np.ndarray) -> Gathering:
    """The first images, before the first part."""
    gather = Gathering(corpus, settings)
    head = order[: head_size(gather, settings, IMAGES)]
    stream(corpus, gather, head, settings, nothing, nothing)
    return gather


def job_for(begun: Gathering, corpus: Corpus, settings: BuildSettings) -> Job:
    return Job(corpus, settings, begun.beginning(), part_size(settings, IMAGES))


def check_same(found: PassResult, wanted: PassResult) -> None:
    for layer in (0, 2):
        for part in (found.directions, found.pairs):
            other = wanted.directions if part is found.directions else wanted.pairs
            for field in fields(part[layer]):
                one, two = getattr(part[layer], field.name), getattr(other[layer], field.name)
                assert np.array_equal(one, two), (layer, field.name)
        assert np.array_equal(found.half_directions[layer], wanted.half_directions[layer])
    assert np.array_equal(found.image_embeddings, wanted.image_embeddings)
    assert np.array_equal(found.mean_representation, wanted.mean_representation)


def test_parts_seen_in_any_order_merge_to_the_bits_of_one_stream(
    begun: Gathering, corpus: Corpus, settings: BuildSettings, order: np.ndarray, whole: PassResult
) -> None:
    assert begun.done == 128
    places = list(places_of(begun.done, IMAGES, part_size(settings, IMAGES)))
    assert places == [range(128, 256), range(256, 384), range(384, 420)]
    job = pickle.loads(pickle.dumps(job_for(begun, corpus, settings)))
    worker = PartGatherer(job)
    states = {}
    for part in reversed(places):  # one worker sees them all, the last one first
        numbers = order[part.start : part.stop]
        state = worker.gather(numbers, digest(corpus.seen(numbers[:1])))
        states[part] = pickle.loads(pickle.dumps(state))
    for part in places:
        begun.absorb(states[part].__getitem__)
    assert begun.done == IMAGES
    check_same(begun.finish(corpus.halves), whole)


def test_a_part_whose_pictures_are_elsewhere_is_sent_them(
    begun: Gathering, corpus: Corpus, settings: BuildSettings, order: np.ndarray,
    store: Path, tmp_path: Path,
) -> None:  # fmt: skip
    numbers = order[128:256]
    first = digest(corpus.seen(numbers[:1]))
    wanted = PartGatherer(job_for(begun, corpus, settings)).gather(numbers, first)
    assert wanted is not None

    files = write_files(store, tmp_path / "files")
    source = open_source(str(files), store, hold_out=0.0)
    list(source.rows(32))
    assert isinstance(source, ListedSource)
    elsewhere = replace(corpus, source=source)
    own = digest(elsewhere.seen(numbers[:1]))
    away = PartGatherer(job_for(begun, elsewhere, settings))
    assert own != first  # the folder has its pictures in another order
    assert away.gather(numbers, first) is None
    assert away.gather(numbers, own) is not None
    shutil.rmtree(files)
    assert away.gather(numbers, own) is None

    views = [corpus.seen(batch) for batch in batches_of(numbers, 0, settings)]
    sent = away.gather(numbers, first, views)
    assert sent is not None
    for name, arrays in wanted.items():
        for key, values in arrays.items():
            assert np.array_equal(sent[name][key], values), (name, key)


def test_a_picture_behind_the_first_that_is_gone_is_one_sentence(
    begun: Gathering, corpus: Corpus, settings: BuildSettings, order: np.ndarray,
    store: Path, tmp_path: Path,
) -> None:  # fmt: skip
    source = open_source(str(write_files(store, tmp_path / "files")), store, hold_out=0.0)
    list(source.rows(32))
    elsewhere = replace(corpus, source=source)
    numbers = order[128:256]
    first = digest(elsewhere.seen(numbers[:1]))
    (tmp_path / "files" / source.keys[numbers[70]]).unlink()
    with pytest.raises(InputError, match="restore it and run the same command"):
        PartGatherer(job_for(begun, elsewhere, settings)).gather(numbers, first)


@pytest.mark.parametrize("batch", [1, 5, 32, 96, 200])
@pytest.mark.parametrize("wanted", [None, 1, 700, 5000])
def test_parts_are_whole_blocks_and_whole_batches(
    batch: int, wanted: int | None, settings: BuildSettings, begun: Gathering
) -> None:
    asked = replace(settings, batch_size=batch, ray_part=wanted)
    for images in (3, 5_000, 1_281_167):
        size, head = part_size(asked, images), head_size(begun, asked, images)
        assert size % 128 == 0 and size % batch == 0
        assert size >= (wanted or 1024)
        assert head == images or (head % 128 == 0 and head % batch == 0 and head >= begun.done)
        places = list(places_of(head, images, size))
        seen = [place for part in places for place in part]
        assert seen == list(range(head, images))
        assert wanted is not None or len(places) <= 64


def test_without_ray_one_sentence_says_what_to_install(
    settings: BuildSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "explorer.build.ray_engine", raising=False)
    asked = replace(settings, out=tmp_path / "b", engine="ray")
    with pytest.raises(InputError, match=r'pip install "second-order-explorer\[ray\]"'):
        build(asked, nothing)
    assert list(tmp_path.iterdir()) == []
