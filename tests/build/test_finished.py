"""What differs between a finished bundle and what is asked for in its folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from explorer.build import build
from explorer.build.finished import differences
from explorer.bundle import Bundle, Manifest
from explorer.lens.origin import model_files
from tests.conftest import draw, settings_for
from tests.support.tiny import save_tiny


def quiet(line: str) -> None:
    """Take progress and say nothing."""


def pictures(folder: Path) -> Path:
    for colour in ("red", "blue"):
        (folder / colour).mkdir(parents=True)
        for place in range(3):
            draw(colour, "circle", place=place).save(folder / colour / f"{place}.png")
    return folder


def test_the_same_command_finds_nothing_different(
    tiny_bundle: Path, tiny_model: Path, tiny_store: Path, tmp_path: Path
) -> None:
    assert differences(settings_for(tiny_bundle, tiny_model, tiny_store)) == []
    copied = tmp_path / "copied"  # the same files elsewhere, and one that the bundle left behind
    shutil.copytree(tiny_model, copied)
    (copied / "optimizer.pt").write_bytes(b"another form")
    (copied / "README.md").write_text("a card, written later", "utf-8")
    assert differences(settings_for(tiny_bundle, copied, tiny_store)) == []


def test_other_words_and_thumbnails_are_said(
    tiny_bundle: Path, tiny_model: Path, tiny_store: Path
) -> None:
    """A bug: neither was kept, so that a build with `--words 200` was said to differ in nothing."""
    asked = settings_for(tiny_bundle, tiny_model, tiny_store, words=200, thumbnail=80)
    assert differences(asked) == [
        "words: built with 30000, asked for 200",
        "thumbnail: built with 160, asked for 80",
    ]


def test_another_local_model_is_said(tiny_bundle: Path, tiny_store: Path, tmp_path: Path) -> None:
    """A bug: a build of other weights into a finished folder returned the old bundle silently."""
    save_tiny(tmp_path / "m", seed=1, width=32, heads=2, embed=24)
    (line,) = differences(settings_for(tiny_bundle, tmp_path / "m", tiny_store)) or []
    assert line == (
        f"model: built with model, asked for {tmp_path}/m with another open_clip_model.safetensors"
    )
    (line,) = differences(settings_for(tiny_bundle, tmp_path / "gone", tiny_store)) or []
    assert line.endswith(f"asked for {tmp_path}/gone, which is not there")
    save_tiny(tmp_path / "wider", width=64, heads=2, embed=24)
    (line,) = differences(settings_for(tiny_bundle, tmp_path / "wider", tiny_store)) or []
    assert line.endswith("with another open_clip_config.json, open_clip_model.safetensors")


def test_a_bundle_without_its_model_is_not_compared_with_one(
    bundle_copy: Path, tiny_store: Path, tmp_path: Path
) -> None:
    manifest = Manifest.read(bundle_copy)
    files = {name: facts for name, facts in manifest.files.items() if "model/" not in name}
    shutil.rmtree(bundle_copy / "model")
    manifest.model_copy(update={"files": files}).write(bundle_copy)
    save_tiny(tmp_path / "m", seed=1, width=32, heads=2, embed=24)
    assert differences(settings_for(bundle_copy, tmp_path / "m", tiny_store)) == []


def test_other_pictures_are_said(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug: a build of other pictures into a finished folder returned the old bundle silently."""
    one, other = pictures(tmp_path / "one"), pictures(tmp_path / "other")
    held = pictures(tmp_path / "held")

    def settings(images: Path | str, **changes: object) -> object:
        whole = {"images": str(images), "layers": "2", "held_out": str(held), **changes}
        return settings_for(tmp_path / "out", tiny_model, one, **whole)

    build(settings(one), quiet)
    monkeypatch.chdir(tmp_path)
    assert differences(settings("one", held_out="held")) == []
    assert differences(settings(other)) == [f"images: built with {one}, asked for {other}"]
    assert differences(settings("nowhere")) == [
        f"images: built with {one}, asked for nowhere, which cannot be opened"
    ]
    assert differences(settings(one, held_out="other")) == [
        f"held_out: built with {held}, asked for {other}"
    ]
    assert differences(settings(one, held_out="", hold_out=0.2)) == [
        f"held_out: built with {held}, asked for None",
        "hold_out: built with None, asked for 0.2",
    ]
    (tmp_path / "list.txt").write_text("one/red/0.png\n", "utf-8")
    assert differences(settings("list.txt")) == [
        f"images: built with {one}, asked for list in {tmp_path}"
    ]
    lines: list[str] = []
    build(settings(other), lines.append)
    assert lines == [
        f"{tmp_path}/out is built already; images: built with {one}, asked for {other}"
    ]


def test_another_store_is_said(tiny_bundle: Path, tiny_model: Path, tmp_path: Path) -> None:
    asked = settings_for(tiny_bundle, tiny_model, tiny_model, images=f"bundle:{tiny_bundle}")
    assert differences(asked) == ["images: built with store, asked for tiny"]


def test_a_weights_file_is_the_same_from_any_folder(
    bundle_copy: Path, tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug: a path as it was given was compared with the whole path that the manifest keeps."""
    weights, text = tmp_path / "w.pt", tmp_path / "text.pt"
    weights.write_bytes(b"w")
    text.write_bytes(b"w")
    manifest = Manifest.read(bundle_copy)
    model = {"source": "ViT", "pretrained": str(weights), "pretrained_text": str(text)}
    manifest.model_copy(update={"model": {**manifest.model, **model}}).write(bundle_copy)
    asked = {"model": "ViT", "pretrained": "w.pt", "pretrained_text": "text.pt"}
    monkeypatch.chdir(tmp_path)
    assert differences(settings_for(bundle_copy, tmp_path, tiny_store, **asked)) == []
    (line,) = differences(
        settings_for(bundle_copy, tmp_path, tiny_store, **asked | {"pretrained_text": "w.pt"})
    )
    assert line == f"pretrained_text: built with {text}, asked for {weights}"
    Bundle.open(bundle_copy)


def test_a_bundle_holds_what_its_model_is_loaded_by(tiny_model: Path, tmp_path: Path) -> None:
    """A bug: a link to nowhere in the model's folder ended a build after all its work."""
    model = Path(shutil.copytree(tiny_model, tmp_path / "m"))
    for folder in (".git", "checkpoints"):
        (model / folder).mkdir()
        (model / folder / "open_clip_model.safetensors").write_bytes(b"old")
    for name in ("README.md", "LICENSE", "LICENSE.txt", "tokenizer.json", "merges.txt"):
        (model / name).write_text(name, "utf-8")
    for name in (".hidden.json", "optimizer.pt", "open_clip_model.onnx", "log.csv"):
        (model / name).write_text(name, "utf-8")
    (model / "vocab.json").symlink_to("nowhere.json")
    (model / "old.pt").symlink_to("nowhere.pt")
    images = pictures(tmp_path / "in")
    settings = settings_for(tmp_path / "b", model, images, images=str(images), layers="2")
    bundle = Bundle.open(build(settings, quiet))
    copied = {file.relative_to(bundle.path / "model").as_posix() for file in model_copy(bundle)}
    assert copied == {
        "open_clip_config.json",
        "open_clip_model.safetensors",
        "README.md",
        "LICENSE",
        "LICENSE.txt",
        "tokenizer.json",
        "merges.txt",
    }
    assert differences(settings) == []


def model_copy(bundle: Bundle) -> list[Path]:
    return [file for file in (bundle.path / "model").rglob("*") if file.is_file()]


def test_weights_in_parts_go_together(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    for name in ("model-1", "model-2", "model-3"):
        (tmp_path / f"{name}.safetensors").write_bytes(b"")
    assert [file.name for file in model_files(tmp_path)] == [
        "model-1.safetensors",
        "model-2.safetensors",
        "model.safetensors.index.json",
    ]
