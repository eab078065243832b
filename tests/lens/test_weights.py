"""Weights in every form people have, against the libraries that write them."""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPImageProcessor

from explorer.errors import InputError, UnsupportedModelError
from explorer.lens import SecondOrderLens, hub
from explorer.lens.checkpoint import read_checkpoint
from explorer.lens.models import LoadedModel, load_model
from tests.support.openai_clip import openai_clip, save_archive
from tests.support.three_forms import transformers_model, write_three_forms
from tests.support.tiny import tiny_clip, tiny_config, tiny_images

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::torch.jit.TracerWarning")

TEXTS = ["a cat", "two dogs on a lawn", "x"]
QUICK = "Tiny-quickgelu"


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny architectures under names that open_clip knows for the length of a test."""
    configs = dict(open_clip.factory._MODEL_CONFIGS)
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", configs)
    configs |= {"Tiny": tiny_config(), QUICK: tiny_config(quick_gelu=True)}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("openai") / "Tiny.pt"
    save_archive(openai_clip(), file)
    return file


def assert_alike(loaded: LoadedModel, images: Tensor, texts: Tensor) -> None:
    """Representations of two tiny images and of `TEXTS` are those of another library."""
    with torch.no_grad():
        torch.testing.assert_close(
            loaded.model.encode_image(tiny_images(2)), images, rtol=0, atol=1e-5
        )
        tokens = loaded.tokenizer(TEXTS)
        torch.testing.assert_close(loaded.model.encode_text(tokens), texts, rtol=0, atol=1e-5)


@torch.no_grad()
def test_an_openai_archive_gives_openai_representations(archive: Path) -> None:
    loaded = load_model(QUICK, pretrained=str(archive))
    images, texts = openai_clip()(tiny_images(2), loaded.tokenizer(TEXTS))
    assert_alike(loaded, images, texts)
    assert loaded.warnings == ()


@torch.no_grad()
@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_a_folder_of_transformers(activation: str, tmp_path: Path) -> None:
    """Parameters, activation, and the pictures' mean, size and interpolation are taken over."""
    model = transformers_model(activation)
    model.save_pretrained(tmp_path)
    processor = CLIPImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32},
        image_mean=[0.1, 0.2, 0.3], image_std=[0.5, 0.6, 0.7],
    )  # fmt: skip
    processor.save_pretrained(tmp_path)
    loaded = load_model(f"local-dir:{tmp_path}")
    tokens = loaded.tokenizer(TEXTS)
    images = model.get_image_features(pixel_values=tiny_images(2))
    texts = model.get_text_features(input_ids=tokens)
    assert_alike(
        loaded, getattr(images, "pooler_output", images), getattr(texts, "pooler_output", texts)
    )
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (40, 56, 3), dtype=np.uint8))
    theirs = processor(picture, return_tensors="pt")["pixel_values"][0]
    assert (loaded.preprocess(picture) - theirs).abs().max() < 0.03  # a level of 255 at most


@torch.no_grad()
def test_three_forms_of_the_same_weights_agree(tmp_path: Path) -> None:
    """An archive, a folder of transformers and a state dict: effects are the same."""
    forms = write_three_forms(tmp_path, QUICK)
    every = {
        form: load_model(model, pretrained=pretrained)
        for form, (model, pretrained) in forms.items()
    }
    expected = SecondOrderLens(every["transformers"].model, 1).effects(tiny_images(3))
    for form in ("OpenAI", "open_clip"):
        effects = SecondOrderLens(every[form].model, 1).effects(tiny_images(3))
        torch.testing.assert_close(effects, expected, rtol=0, atol=1e-5)
    assert {form: len(one.warnings) for form, one in every.items()} == {
        "transformers": 0, "OpenAI": 0, "open_clip": 1,
    }  # fmt: skip


def wrapped(state: dict[str, Tensor]) -> Iterator[tuple[str, object]]:
    """Yield file names and what people save under them."""
    yield "plain.pt", state
    yield "training.pt", {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}
    yield "compiled.bin", {"model": {f"_orig_mod.{k}": v for k, v in state.items()}}
    yield "half.pth", {k: v.half() for k, v in state.items()}


def test_state_dicts_in_their_wrappings(tmp_path: Path) -> None:
    state = tiny_clip(seed=4).state_dict()
    for name, content in wrapped(state):
        torch.save(content, tmp_path / name)
        found = load_model("Tiny", pretrained=str(tmp_path / name)).model.state_dict()
        for key, value in state.items():
            expected = value.half().float() if name == "half.pth" else value
            assert torch.equal(found[key], expected), (name, key)


@torch.no_grad()
def test_towers_of_two_files(tmp_path: Path) -> None:
    image, text = tiny_clip(seed=1), tiny_clip(seed=2)
    save_file(dict(image.visual.state_dict()), tmp_path / "image.safetensors")
    torch.save(text.state_dict(), tmp_path / "text.pt")
    whole = str(tmp_path / "image.safetensors")
    with pytest.raises(InputError, match="--pretrained-text FILE"):
        load_model("Tiny", pretrained=whole)
    loaded = load_model("Tiny", pretrained=whole, pretrained_text=str(tmp_path / "text.pt"))
    tokens = loaded.tokenizer(TEXTS)
    assert_alike(loaded, image.encode_image(tiny_images(2)), text.encode_text(tokens))
    with pytest.raises(InputError, match="hold no text tower"):
        load_model("Tiny", pretrained=str(tmp_path / "text.pt"), pretrained_text=whole)
    with pytest.raises(InputError, match="no file"):
        load_model("Tiny", pretrained=whole, pretrained_text=str(tmp_path / "absent.pt"))


def test_weights_in_several_files(tmp_path: Path) -> None:
    model = transformers_model()
    model.save_pretrained(tmp_path, max_shard_size="1MB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    loaded = load_model(f"local-dir:{tmp_path}")
    assert torch.equal(loaded.model.visual.proj, model.visual_projection.weight.T)


# What a file may not do.


def rewritten(archive: Path, out: Path, part: str, data: bytes) -> Path:
    """Copy an archive with other bytes in the members whose names hold `part`."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, data if part in name else old.read(name))
    return out


def test_no_code_of_an_archive_is_run(archive: Path, tmp_path: Path) -> None:
    """Its parameters are the same when its code is gone; a pickle that calls is refused."""
    bare = rewritten(archive, tmp_path / "bare.pt", "/code/", b"raise SystemExit")
    expected = read_checkpoint(archive).state
    found = read_checkpoint(bare).state
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    with pytest.raises(RuntimeError):
        torch.jit.load(str(bare))
    flag = tmp_path / "ran"
    call = b"cos\nmkdir\n(V" + str(flag).encode() + b"\ntR."
    hostile = rewritten(archive, tmp_path / "hostile.pt", "/data.pkl", call)
    with pytest.raises(InputError, match=r"os\.mkdir is no part of a model"):
        read_checkpoint(hostile)
    assert not flag.exists()


class Runs:
    """Makes a folder when it is unpickled."""

    def __init__(self, flag: Path) -> None:
        self.flag = flag

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.flag),)


def test_pickles_that_call_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    torch.save({"state_dict": tiny_clip().state_dict(), "args": Runs(tmp_path / "ran")}, file)
    with pytest.raises(InputError, match="save the model's state_dict alone"):
        load_model("Tiny", pretrained=str(file))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(bad: float, tmp_path: Path) -> None:
    state = tiny_clip().state_dict()
    state["visual.transformer.resblocks.2.mlp.c_fc.weight"][3, 4] = bad
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"not finite, in visual.*resblocks\.2\.mlp\.c_fc"):
        load_model("Tiny", pretrained=str(tmp_path / "weights.pt"))


def test_towers_of_zeros_are_refused(tmp_path: Path) -> None:
    for part, named in ((True, "image"), (False, "text")):
        state = tiny_clip().state_dict()
        for name, value in state.items():
            if name.startswith("visual.") == part:
                value.zero_()
        torch.save(state, tmp_path / "weights.pt")
        with pytest.raises(InputError, match=f"all zero in the {named} tower"):
            load_model("Tiny", pretrained=str(tmp_path / "weights.pt"))


def test_files_that_hold_no_clip(tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    for content, words in (
        ({"encoder.weight": torch.ones(2)}, "hold no image tower"),
        ([torch.ones(2)], "list in place of named parameters"),
        ({"epoch": 3}, "no parameters under names"),
    ):
        torch.save(content, file)
        with pytest.raises(InputError, match=words):
            load_model("Tiny", pretrained=str(file))


# The activation.


def test_openai_weights_under_a_gelu_name_are_refused(archive: Path) -> None:
    with pytest.raises(InputError, match=r"trained with QuickGELU.*use --model Tiny-quickgelu"):
        load_model("Tiny", pretrained=str(archive))


def test_gelu_weights_under_a_quick_name_are_refused(tmp_path: Path) -> None:
    model = openai_clip(activation=nn.GELU())
    for mark in ("input_resolution", "context_length", "vocab_size"):
        delattr(model, mark)
    save_archive(model, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"trained with GELU.*use --model Tiny\."):
        load_model(QUICK, pretrained=str(tmp_path / "weights.pt"))


def test_an_activation_that_nobody_knows_is_a_warning(tmp_path: Path) -> None:
    torch.save(tiny_clip().state_dict(), tmp_path / "weights.pt")
    (line,) = load_model("Tiny", pretrained=str(tmp_path / "weights.pt")).warnings
    assert "GELU is taken" in line


# Folders of transformers that are something else.


def test_other_models_of_transformers_are_refused(tmp_path: Path) -> None:
    transformers_model().save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    saved = json.loads(file.read_text())

    def refused(words: str, **changes: object) -> None:
        file.write_text(json.dumps({**saved, **changes}))
        with pytest.raises((InputError, UnsupportedModelError), match=words):
            load_model(f"local-dir:{tmp_path}")

    refused("type 'siglip'", model_type="siglip")
    refused("swish", vision_config={**saved["vision_config"], "hidden_act": "swish"})
    refused("vocabulary of 30,000", text_config={**saved["text_config"], "vocab_size": 30_000})
    refused("cannot be read", vision_config=3)
    file.write_text(json.dumps(saved))
    other = {"image_mean": [0, 0, 0], "image_std": [1, 1, 1], "size": 40, "crop_size": 32}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(other))
    with pytest.raises(InputError, match="resizes pictures to 40 and cuts 32"):
        load_model(f"local-dir:{tmp_path}")


# Names, with and without a network.


@pytest.fixture
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No weights on this machine, and a hub at which nothing answers."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(hub, "OPENAI_CACHE", tmp_path / "clip")
    return tmp_path


@pytest.mark.parametrize(
    ("source", "pretrained", "words"),
    [
        ("ViT-B-32", "openai", r"--pretrained FILE, or put OpenAI's ViT-B-32\.pt into"),
        ("ViT-B-32", "laion2b_s34b_b79k", "CLIP-ViT-B-32-laion2B-s34B-b79K"),
        ("hf-hub:laion/CLIP-ViT-B-32", None, "--model local-dir:FOLDER"),
    ],
)
def test_without_a_network_the_answer_comes_at_once(
    source: str, pretrained: str | None, words: str, empty_caches: Path
) -> None:
    began = time.monotonic()
    with pytest.raises(InputError, match=words) as error:
        load_model(source, pretrained=pretrained)
    assert time.monotonic() - began < 30
    assert "random" not in str(error.value)


@pytest.mark.parametrize("name", ["a/b/c", "-a/b", "a" * 97, "a b"])
def test_what_is_no_name_of_a_repository_is_said_in_a_sentence(
    name: str, empty_caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_hub_reachable", lambda: True)
    with pytest.raises(InputError, match=r"is not the name of a repository .*give OWNER/NAME") as e:
        load_model(f"hf-hub:{name}")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("kind", "status"),
    [("RepositoryNotFoundError", 401), ("GatedRepoError", 403), ("HfHubHTTPError", 503)],
)
def test_a_repository_that_is_not_given_is_said_in_a_sentence(
    kind: str, status: int, empty_caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def refused(repository: str, name: str) -> str:
        response = SimpleNamespace(headers={}, request=None, status_code=status)
        error = getattr(huggingface_hub.errors, kind)
        raise error(f"{status} Client Error.\n\nNo.", response=response)

    monkeypatch.setattr(hub, "_hub_reachable", lambda: True)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refused)
    with pytest.raises(InputError, match=rf"lab/clip could not be .*{status}.*hf auth login") as e:
        load_model("hf-hub:lab/clip")
    assert "\n" not in str(e.value)


def test_a_connection_lost_on_the_way_is_no_empty_repository(
    empty_caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    def lost(repository: str, name: str) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("An error happened")

    monkeypatch.setattr(hub, "_hub_reachable", lambda: True)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lost)
    with pytest.raises(InputError, match="could not be fetched from the hub"):
        load_model("hf-hub:lab/clip")


def test_a_server_that_never_answers_is_not_waited_for() -> None:
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        began = time.monotonic()
        assert not hub.reachable(f"http://127.0.0.1:{silent.getsockname()[1]}", 0.3)
        assert time.monotonic() - began < 30


@torch.no_grad()
def test_openai_weights_are_taken_from_its_own_cache(
    archive: Path, empty_caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = {"url": "https://openaipublic.example/Tiny.pt", "quick_gelu": True, "hf_hub": "a/b/"}
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda name, pretrained: tag)
    (empty_caches / "clip").mkdir()
    (empty_caches / "clip" / "Tiny.pt").write_bytes(archive.read_bytes())
    loaded = load_model("Tiny", pretrained="openai")
    expected = openai_clip()(tiny_images(2), loaded.tokenizer(TEXTS))[0]
    torch.testing.assert_close(
        loaded.model.encode_image(tiny_images(2)), expected, rtol=0, atol=1e-5
    )


def test_a_repository_in_the_hubs_cache_needs_no_network(empty_caches: Path) -> None:
    snapshot = empty_caches / "hub" / "models--lab--clip" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    model = transformers_model()
    model.save_pretrained(snapshot)
    loaded = load_model("hf-hub:lab/clip")
    assert torch.equal(loaded.model.visual.proj, model.visual_projection.weight.T)
    assert loaded.source == "hf-hub:lab/clip"
