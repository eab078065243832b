"""From pictures to a bundle: against an oracle, stopped and resumed, rebuilt, with bad inputs."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from explorer.build import BuildSettings, Interrupted, build, gathering, run
from explorer.build import texts as build_texts
from explorer.build.describe import half_weights
from explorer.build.run import to_console
from explorer.build.settings import MOST_TEXTS, parse_layers
from explorer.build.texts import gather_texts
from explorer.bundle import ARRAYS, WORK, Bundle, Manifest, verify
from explorer.bundle.pictures import PictureStore
from explorer.describe.sample import draw_sample
from explorer.errors import BundleError, InputError
from explorer.lens import LensOutput, SecondOrderLens
from explorer.pixels import to_rgb
from tests.conftest import (
    HELD_OUT,
    TINY_LAYERS,
    draw,
    facts_of,
    flip,
    picture_rows,
    png,
    settings_for,
)


def quiet(line: str) -> None:
    """Take progress and say nothing."""


# The numbers against effects that are all held in memory.


@pytest.mark.parametrize("layer", [0, 2])
def test_the_arrays_are_those_of_the_whole_effects(tiny_bundle: Path, layer: int) -> None:
    bundle = Bundle.open(tiny_bundle)
    loaded = bundle.load_model()
    store = bundle.pictures
    pixels = [loaded.preprocess(to_rgb(store.image(i))) for i in range(store.corpus_size)]
    lens = SecondOrderLens(loaded.model, layer)
    effects = lens.effects(torch.stack(pixels)).double().numpy()
    effects -= effects.mean(0)
    norms = np.linalg.norm(effects, axis=2)
    coefficients = lens.coefficients(torch.stack(pixels)).double().numpy()
    coefficients -= coefficients.mean(0)
    table = bundle.neurons
    for neuron in range(0, 128, 9):
        row = bundle.row(layer, neuron)
        order = np.argsort(-norms[:, neuron])[:4]  # a tenth of 36, rounded up
        chosen = effects[order, neuron]
        _, values, vectors = np.linalg.svd(chosen, full_matrices=False)
        share = values[0] ** 2 / (values**2).sum()
        assert table["explained_variance"][row] == pytest.approx(share, abs=1e-4)
        assert table["threshold"][row] == pytest.approx(norms[order[-1], neuron], rel=1e-4)
        assert table["max_norm"][row] == pytest.approx(norms[order[0], neuron], rel=1e-4)
        scale = np.sqrt((norms[:, neuron] ** 2).mean())
        assert table["scale"][row] == pytest.approx(scale, rel=1e-4)
        total = (norms[:, neuron] ** 2).sum()
        part = (norms[order, neuron] ** 2).sum() / total
        assert table["selectivity"][row] == pytest.approx(part, rel=1e-4)
        direction = vectors[0] * np.sign((chosen @ vectors[0] > 0).mean() - 0.499)
        stored = bundle.directions[row].astype(np.float64)
        gap = (values[0] - values[1]) / values[0]
        if gap > 0.05 and (chosen @ direction > 0).mean() != 0.5:
            assert stored @ direction > (1 - 1e-6) * np.linalg.norm(stored)
        along = effects[:, neuron] @ stored
        for end, sign in enumerate((1, -1)):
            best = np.argsort(-sign * along)
            best = best[sign * along[best] > 0][:25]
            found = bundle.top_images[row, end]
            assert np.array_equal(found >= 0, np.arange(25) < len(best))
            wanted = np.zeros(25)
            wanted[: len(best)] = along[best]
            error = np.abs(bundle.top_effects[row, end] - wanted)
            assert error.max() < 2e-3 * np.abs(along).max()
        sampled = along[bundle.sample_images]
        assert np.abs(bundle.sample_effects[row] - sampled).max() < 4e-3 * np.abs(along).max()
        shares = _shares(lens, coefficients[order, :, neuron], neuron, stored)
        first = 2 * (layer - TINY_LAYERS[0])  # two heads in each block that came earlier
        assert not bundle.path_shares[row, :first].any()
        assert np.allclose(bundle.path_shares[row, first:], shares, atol=4e-3)
    representation = loaded.model.encode_image(torch.stack(pixels)).double().numpy()
    assert np.allclose(bundle.mean_representation, representation.mean(0), atol=1e-5)
    unit = representation / np.linalg.norm(representation, axis=1, keepdims=True)
    assert np.allclose(bundle.image_embeddings, unit, atol=1e-3)
    mean = lens.coefficients(torch.stack(pixels)).mean(0).numpy()
    assert np.allclose(bundle.mean_coefficients(layer), mean, atol=1e-5)


def _shares(
    lens: SecondOrderLens, chosen: np.ndarray, neuron: int, direction: np.ndarray
) -> np.ndarray:
    """Return each path's share of effects along a direction, one path at a time."""
    paths = lens.paths[neuron].double().numpy()
    parts = np.stack([chosen[:, k] * (paths[k] @ direction) for k in range(len(paths))], 1)
    whole = parts.sum(1)
    return np.array([part @ whole for part in parts.T]) / (whole @ whole)


def test_sparse_sets_describe_the_directions(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    atoms = bundle.dictionary.atoms()
    directions = bundle.directions.astype(np.float32)
    ids, weights = np.asarray(bundle.concept_ids), bundle.concept_weights.astype(np.float32)
    sums = np.einsum("nm,nme->ne", weights, atoms[ids])
    lengths = np.linalg.norm(sums, axis=1)
    cosines = (sums * directions).sum(1) / lengths
    # weights are kept in half precision, and those of nearly dependent texts are large
    rounding = np.abs(weights).sum(1) * 2.0**-11 / lengths
    for stored in (bundle.concept_cosines[:, -1], bundle.neurons["reconstruction"]):
        off = np.abs(cosines - stored)
        assert (off <= np.maximum(5e-3, rounding)).all()
        assert np.mean(off <= 5e-3) > 0.98
    assert (np.diff(bundle.concept_cosines.astype(np.float32), axis=1) > -1e-3).all()


def test_the_sample_is_drawn_from_the_corpus_without_repeats() -> None:
    drawn = draw_sample(1000, 50, 0)
    assert len(np.unique(drawn)) == 50
    assert drawn.min() >= 0 and drawn.max() < 1000
    assert (np.diff(drawn) > 0).all()
    assert np.array_equal(drawn, draw_sample(1000, 50, 0))
    assert not np.array_equal(drawn, draw_sample(1000, 50, 1))
    assert draw_sample(7, 50, 0).tolist() == list(range(7))


def test_neighbours_are_the_nearest_others(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    directions = bundle.directions.astype(np.float32)
    cosines = directions @ directions.T
    np.fill_diagonal(cosines, -2)
    assert np.allclose(bundle.neighbour_cosines, -np.sort(-cosines, 1)[:, :12], atol=2e-3)
    assert (bundle.neighbours != np.arange(len(directions))[:, None]).all()


def test_held_out_pictures_come_along_and_count_nowhere(tiny_bundle: Path) -> None:
    bundle = Bundle.open(tiny_bundle)
    assert len(bundle.pictures) - bundle.pictures.corpus_size == HELD_OUT
    assert bundle.manifest.images["held_out"] == HELD_OUT
    assert bundle.top_images.max() == bundle.pictures.corpus_size - 1
    assert (bundle.norm_histogram.sum(1) == bundle.pictures.corpus_size).all()
    assert [bundle.pictures.encoded(i) for i in range(40)] == [data for _, data in picture_rows()]


# The same result however it comes about.


def stop_at(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    """Press Ctrl-C while a batch, counted from 1, is added to the statistics."""
    real, count = gathering.Gathering.take, 0

    def take(self: gathering.Gathering, numbers: np.ndarray, output: LensOutput) -> None:
        nonlocal count
        count += 1
        if count == batch:
            os.kill(os.getpid(), signal.SIGINT)
        real(self, numbers, output)

    monkeypatch.setattr(gathering.Gathering, "take", take)


def test_stopped_and_resumed_is_the_same_to_the_bit(
    tiny_bundle: Path,
    tiny_model: Path,
    tiny_store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_for(tmp_path / "b", tiny_model, tiny_store)
    # In the warm-up (nothing is saved), then after 20, 30 and all 36 images, then while describing.
    for batch, done in [(2, 10), (4, 20), (2, 30), (2, 36)]:
        with (
            monkeypatch.context() as patch,
            pytest.raises(Interrupted, match=f"after {done} of 36"),
        ):
            stop_at(patch, batch)
            build(settings, quiet)
        with pytest.raises(BundleError, match="not a finished bundle"):
            Bundle.open(settings.out)

    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="run the same command"):
        patch.setattr(run, "describe_directions", pressed)
        build(settings, quiet)
    build(settings, quiet)
    assert Manifest.read(settings.out).files == Manifest.read(tiny_bundle).files
    assert verify(settings.out) == []
    assert not (settings.out / WORK).exists()


def test_a_state_is_saved_now_and_then(
    tiny_model: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path, tiny_model, tiny_store, layers="2", save_minutes=0.0)
    saved: list[list[str]] = []
    real = gathering.Gathering.save

    def save(self: gathering.Gathering, work: Path) -> None:
        real(self, work)
        saved.append([folder.name for folder in work.glob("pass-*")])

    monkeypatch.setattr(gathering.Gathering, "save", save)
    build(settings, quiet)
    assert saved[:2] == [[], []]  # still warming up
    assert saved[2:4] == [["pass-000000015"], ["pass-000000020"]]


def test_a_bundle_rebuilds_itself(tiny_bundle: Path, tmp_path: Path) -> None:
    settings = settings_for(
        tmp_path / "again",
        tiny_bundle / "model",
        tiny_bundle,
        images=f"bundle:{tiny_bundle}",
        texts=f"bundle:{tiny_bundle}",
    )
    build(settings, quiet)
    assert Manifest.read(settings.out).files == Manifest.read(tiny_bundle).files


def test_batches_do_not_matter_but_for_rounding(
    tiny_bundle: Path, tiny_model: Path, tiny_store: Path, tmp_path: Path
) -> None:
    settings = settings_for(tmp_path, tiny_model, tiny_store, layers="1", batch_size=12)
    one = Bundle.open(build(settings, quiet))
    other = Bundle.open(tiny_bundle)
    rows = slice(128, 256)
    cosines = (one.directions.astype(np.float32) * other.directions[rows]).sum(1)
    assert np.quantile(cosines, 0.05) > 1 - 1e-3
    assert (one.top_images[:, 0, 0] == other.top_images[rows, 0, 0]).mean() > 0.95


# Folders of pictures.


def folder_of_pictures(folder: Path) -> Path:
    """Write pictures of several modes, in folders and not, and three that cannot be read."""
    for colour in ("red", "blue"):
        (folder / f"{colour}_things").mkdir(parents=True)
        for shape in ("circle", "square"):
            draw(colour, shape).save(folder / f"{colour}_things" / f"{shape}.png")
    draw("green", "circle").convert("L").save(folder / "grey-disc.jpg")
    draw("green", "circle").convert("P").save(folder / "pålette.gif")
    turned = Image.new("RGB", (200, 100), "black")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(folder / "turned.jpg", exif=exif)
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "empty.webp").write_bytes(b"")
    (folder / "cut.png").write_bytes(png(draw("red", "circle", 30))[:90])
    (folder / "readme.txt").write_text("not a picture", "utf-8")
    return folder


def test_a_folder_of_pictures(tiny_model: Path, tmp_path: Path) -> None:
    folder = folder_of_pictures(tmp_path / "in")
    lines: list[str] = []
    settings = settings_for(
        tmp_path / "out", tiny_model, folder, images=str(folder), layers="2", thumbnail=24
    )
    bundle = Bundle.open(build(settings, lines.append))
    store = bundle.pictures
    labels = dict(zip(store.table["name"], store.table["label"], strict=True))
    assert labels["red_things/circle.png"] == "red things"
    assert labels["grey-disc.jpg"] == "grey disc"
    assert len(store) == 7
    skipped = bundle.manifest.images["skipped"]
    assert [line.split(":")[0] for line in skipped] == ["broken.png", "cut.png", "empty.webp"]
    assert sum(line.startswith("skipped ") for line in lines) == 3
    sizes = {name: store.image(i).size for i, name in enumerate(store.table["name"])}
    assert sizes["turned.jpg"] == (12, 24)
    assert max(max(size) for size in sizes.values()) == 24
    assert any(line.startswith("pass [####################] 7 of 7 images") for line in lines)


def test_metadata_gives_labels(tiny_model: Path, tmp_path: Path) -> None:
    folder = folder_of_pictures(tmp_path / "in")
    (folder / "metadata.csv").write_text(
        'file,label,keywords,licence\ngrey-disc.jpg, grey disc ,"round, dull",CC0\n', "utf-8"
    )
    settings = settings_for(tmp_path / "out", tiny_model, folder, images=str(folder), layers="0")
    bundle = Bundle.open(build(settings, quiet))
    row = bundle.pictures.table.set_index("name").loc["grey-disc.jpg"]
    assert (row["keywords"], row["licence"]) == ("round, dull", "CC0")
    assert {"grey disc", "round", "dull", "blue things"} <= set(bundle.texts)


def test_a_picture_lost_on_the_way_is_named(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of_pictures(tmp_path / "in")
    settings = settings_for(
        tmp_path / "out", tiny_model, folder, images=str(folder), layers="2", batch_size=2
    )
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_at(patch, 1)
        build(settings, quiet)
    (folder / "grey-disc.jpg").unlink()
    views = settings.out / WORK / "views.npz"
    views.rename(views.with_suffix(".away"))  # as where the disk had no room for them
    with pytest.raises(InputError, match=r"grey-disc\.jpg"):
        build(settings, quiet)
    views.with_suffix(".away").rename(views)  # no picture is decoded twice
    build(settings, quiet)
    assert verify(settings.out) == []


# What a build refuses.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "ViT-B-32"}, "random weights"),
        ({"model": "local-dir:nowhere"}, "no model folder nowhere"),
        ({"images": "nowhere"}, "nowhere is not there; give"),
        ({"images": "store:nowhere"}, "no folder nowhere"),
        ({"texts": "nowhere.txt"}, "no file: 'nowhere.txt'. It takes corpus"),
        ({"texts": "bundle:nowhere"}, "no bundle at nowhere"),
        ({"layers": "3"}, "0 to 2"),
        ({"layers": "one"}, "numbers such as"),
        ({"device": "tpu"}, "tpu"),
        ({"significant_cap": 1}, "cap on significant"),
    ],
)
def test_bad_inputs_are_one_sentence(
    tiny_model: Path, tiny_store: Path, tmp_path: Path, changes: dict, words: str
) -> None:
    with pytest.raises((InputError, BundleError), match=words):
        build(settings_for(tmp_path / "out", tiny_model, tiny_store, **changes), quiet)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"significant": 0.0}, "--significant is a share"),
        ({"significant": 0.6}, "--significant is a share"),
        ({"unseen": float("nan")}, "--unseen is a share"),
        ({"nulls": 0}, "--nulls must be at least 1"),
        ({"batch_size": -1}, "--batch-size must be at least 1, or auto"),
        ({"nonzero": -1}, "--nonzero must be"),
        ({"nonzero": 128}, "^--nonzero can be 127 at most; got 128.$"),
    ],
)
def test_settings_are_checked_where_they_are_made(changes: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        settings_for(Path("out"), Path("model"), Path("store"), **changes)


def test_the_most_texts_of_a_sparse_set_fit_their_arrays() -> None:
    assert np.iinfo(ARRAYS["concept_clusters"].dtype).max == MOST_TEXTS
    assert settings_for(Path("out"), Path("model"), Path("store"), nonzero=MOST_TEXTS)


def test_a_folder_in_use_is_left_alone(tiny_model: Path, tiny_store: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious", "utf-8")
    with pytest.raises(InputError, match="is not empty"):
        build(settings_for(tmp_path, tiny_model, tiny_store), quiet)
    assert [file.name for file in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("place", ["", "sub/out"])
def test_a_bundle_inside_its_model_s_folder_is_refused(
    tiny_model: Path, tiny_store: Path, tmp_path: Path, place: str
) -> None:
    """A bug: the folder was copied into itself without end, after the whole build."""
    model = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    with pytest.raises(InputError, match=r"lies in the model's folder .*; name another --out"):
        build(settings_for(model / place, model, tiny_store), quiet)
    assert {file.name for file in model.iterdir()} == {file.name for file in tiny_model.iterdir()}


def test_a_folder_without_pictures_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    settings = settings_for(tmp_path / "out", tiny_model, tmp_path, images=str(tmp_path / "in"))
    with pytest.raises(InputError, match="no readable picture"):
        build(settings, quiet)


def test_one_picture_is_too_few(tiny_model: Path, tmp_path: Path) -> None:
    PictureStore.write(tmp_path / "in", list(picture_rows())[:1])
    with pytest.raises(InputError, match="at least two pictures"):
        build(settings_for(tmp_path / "out", tiny_model, tmp_path / "in", texts="corpus"), quiet)


def test_other_settings_do_not_resume(
    tiny_model: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(tmp_path / "b", tiny_model, tiny_store, layers="2")
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        stop_at(patch, 4)
        build(settings, quiet)
    with pytest.raises(InputError, match="other settings"):
        build(settings_for(tmp_path / "b", tiny_model, tiny_store, layers="2", seed=1), quiet)
    flip(next((settings.out / WORK).glob("pass-*")) / "layer_02.npz", 0)
    with pytest.raises(InputError, match=r"is damaged .*; remove that folder"):
        build(settings, quiet)
    shutil.rmtree(next((settings.out / WORK).glob("pass-*")))
    build(settings, quiet)
    assert verify(settings.out) == []


def test_a_slip_is_put_right_in_the_same_folder(
    tiny_model: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug: after a mistyped name the right one was refused as "other settings"."""
    out, empty = tmp_path / "b", tmp_path / "empty"
    empty.mkdir()

    def asked(**changes: object) -> BuildSettings:
        return settings_for(out, tiny_model, tiny_store, layers="2", **changes)

    with pytest.raises(InputError, match="no readable picture"):
        build(asked(images=str(empty)), quiet)
    for slip in ({"texts": "comon"}, {"leave_out": "profanities"}, {"images": "store:nowhere"}):
        with pytest.raises(InputError, match=r"takes|no folder nowhere"):
            build(asked(**slip), quiet)
    with pytest.raises(InputError, match="memory"):
        build(asked(memory=1e-6), quiet)
    before = (out / "pictures.bin").stat().st_mtime_ns
    with pytest.raises(InputError, match="other settings"):  # those pictures would be lost
        build(asked(thumbnail=80), quiet)
    build(asked(batch_size=4), quiet)
    assert (out / "pictures.bin").stat().st_mtime_ns == before
    assert Bundle.open(out).manifest.settings["batch_size"] == 4
    assert verify(out) == []


# The parts.


def test_paths_are_taken_as_text_and_as_paths(tmp_path: Path) -> None:
    """A bug: both were an AttributeError somewhere below."""
    given = {"images": tmp_path, "texts": tmp_path / "t.txt", "pretrained": tmp_path / "w.pt"}
    settings = BuildSettings(model="ViT-B-32", out=str(tmp_path / "out"), **given)  # type: ignore[arg-type]
    assert settings.out == tmp_path / "out"
    assert {name: getattr(settings, name) for name in given} == {
        name: str(path) for name, path in given.items()
    }
    with pytest.raises(InputError, match=r"such as '8,9,10' or 'all'; got \(1, 2\)"):
        BuildSettings(model="x", out=tmp_path, layers=(1, 2))  # type: ignore[arg-type]


def test_weights_beyond_half_precision_say_which_option_helps() -> None:
    """A bug: 64 texts of a text tower of width 16 ended as "expected finite numbers"."""
    weights = np.array([[1.5, -2.0], [0.0, 3.0]])
    assert half_weights(weights).tolist() == weights.tolist()
    with pytest.raises(InputError, match="smaller --nonzero, such as 1, or more texts"):
        half_weights(np.array([[7e4, -7e4]]))


def test_a_cluster_is_not_passed_over(tmp_path: Path) -> None:
    """A bug: without `--engine ray` its address was ignored, and the build ran here."""
    with pytest.raises(InputError, match="--ray-address one:6379 needs --engine ray"):
        BuildSettings(model="x", out=tmp_path, ray_address="one:6379")


def test_layers_are_parsed() -> None:
    assert parse_layers("all", 4) == [0, 1, 2]
    assert parse_layers("2,0,2", 4) == [0, 2]
    for spec in ("", "-1", "1;2", "0,3"):
        with pytest.raises(InputError):
            parse_layers(spec, 4)


def test_texts_are_gathered(
    tiny_bundle: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PictureStore.open(tiny_store)
    monkeypatch.setattr(build_texts, "common_words", lambda n: ["the", "red", "of"][:n])

    def gather(texts: str, words: int = 3) -> pd.DataFrame:
        settings = settings_for(tmp_path, tmp_path, tiny_store, texts=texts, words=words)
        return gather_texts(settings, store)

    corpus = gather("corpus")
    assert set(corpus["source"]) == {"label", "keyword"}
    assert corpus["text"].is_unique and len(corpus) == 18 + 3 + 6
    assert gather("common", 2)["text"].tolist() == ["the", "red"]
    both = gather("corpus+common").set_index("text")["source"]
    assert (both["red"], both["the"]) == ("keyword", "common")
    assert gather(f"bundle:{tiny_bundle}")["text"].tolist() == Bundle.open(tiny_bundle).texts
    (tmp_path / "texts.txt").write_text("one\n two \n\none\n", "utf-8")
    assert gather(str(tmp_path / "texts.txt"))["text"].tolist() == ["one", "two"]
    (tmp_path / "texts.txt").write_text("one\n", "utf-8")
    with pytest.raises(InputError, match="at least two"):
        gather(str(tmp_path / "texts.txt"))


def test_labels_with_spaces_around_them(tmp_path: Path) -> None:
    named = {"label": " red dot ", "keywords": " , red dot", "looks": ""}
    facts = facts_of("red", "circle", 0) | named
    store = PictureStore.write(tmp_path, [(facts, b"x"), (facts | {"label": ""}, b"x")])
    settings = settings_for(tmp_path, tmp_path, tmp_path, texts="corpus")
    with pytest.raises(InputError, match="gives 1 texts"):
        gather_texts(settings, store)


def test_accents_in_two_forms_are_one_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = [{"label": "cafe\u0301"}, {"label": "caf\u00e9"}, {"label": "e\u0301toile"}]
    blank = facts_of("red", "circle", 0) | {"keywords": "", "looks": ""}
    store = PictureStore.write(tmp_path, [(blank | label, b"x") for label in named])
    settings = settings_for(tmp_path, tmp_path, tmp_path, texts="corpus")
    found = gather_texts(settings, store)
    assert found.to_dict("list") == {"text": ["caf\u00e9", "\u00e9toile"], "source": ["label"] * 2}
    table = pd.DataFrame({"text": ["cafe\u0301", "tea"], "source": ["file", "common"]})
    other = SimpleNamespace(open=lambda path: SimpleNamespace(text_table=table))
    monkeypatch.setattr(build_texts, "Bundle", other)
    found = gather_texts(replace(settings, texts="bundle:other"), store)
    assert found.to_dict("list") == {"text": ["caf\u00e9", "tea"], "source": ["file", "common"]}


def test_a_terminal_shows_the_pass_on_one_line(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_console("pass [#] 1 of 2")
    assert capsys.readouterr().err == "pass [#] 1 of 2\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    to_console("pass [#] 1 of 2")
    to_console("done")
    assert capsys.readouterr().err == "\r\033[Kpass [#] 1 of 2\r\033[Kdone\n"
