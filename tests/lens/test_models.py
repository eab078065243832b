"""Loading, encoding and every way in which they are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import pytest
import torch
from PIL import Image

from explorer.errors import InputError, UnsupportedModelError
from explorer.lens import SecondOrderLens, hub, models
from explorer.lens.models import (
    LoadedModel,
    check_supported,
    encode_images,
    encode_texts,
    hollow_model,
    load_model,
)
from explorer.lens.origin import find_origin
from explorer.lens.tokens import encode_tokens
from explorer.pixels import to_rgb
from tests.support.tiny import save_tiny, tiny_clip, tiny_config, tiny_images


def sentence(error: pytest.ExceptionInfo[Exception]) -> str:
    """The message, once it is known to be a single line that ends a sentence."""
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny(path, layer_scale=True)
    return path


@pytest.fixture(scope="module")
def loaded(folder: Path) -> LoadedModel:
    return load_model(f"local-dir:{folder}")


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> str:
    """A tiny architecture under a name that open_clip knows for the length of a test."""
    configs = dict(open_clip.factory._MODEL_CONFIGS)
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", configs)
    configs["Tiny-ViT"] = tiny_config()
    return "Tiny-ViT"


def test_local_folder_round_trip(folder: Path, loaded: LoadedModel) -> None:
    original = tiny_clip(layer_scale=True)
    images = tiny_images(2)
    with torch.no_grad():
        expected = original.encode_image(images)
        assert torch.equal(loaded.model.encode_image(images), expected)
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert (loaded.source, loaded.pretrained) == (f"local-dir:{folder}", None)
    assert (loaded.image_size, loaded.width, loaded.embed) == (32, 64, 48)
    assert (loaded.layers, loaded.heads, loaded.neurons) == (4, 4, 256)
    assert (loaded.device, loaded.dtype) == (torch.device("cpu"), torch.float32)
    pixels = loaded.preprocess(Image.new("RGB", (50, 40), "white"))
    assert pixels.shape == (3, 32, 32)
    torch.testing.assert_close(pixels, torch.full((3, 32, 32), 2.0))  # (1 - mean) / std


def test_float16_weights_are_loaded_as_float32(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_tiny(tmp_path)
    path = tmp_path / "open_clip_model.safetensors"
    save_file({name: value.half() for name, value in load_file(path).items()}, path)
    model = load_model(f"local-dir:{tmp_path}").model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_weights_file(named: str, tmp_path: Path) -> None:
    model = tiny_clip(seed=5)
    path = tmp_path / "weights.pt"
    torch.save(model.state_dict(), path)
    loaded = load_model(named, pretrained=str(path))
    images = tiny_images(2)
    with torch.no_grad():
        assert torch.equal(loaded.model.encode_image(images), model.encode_image(images))
    assert loaded.pretrained == str(path)


def test_random_weights_follow_the_seed(named: str) -> None:
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(load_model(named).model.visual.proj)
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


def test_quick_gelu_follows_the_tag(
    named: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Weights trained with QuickGELU get it even under a plain name."""
    torch.save(tiny_clip().state_dict(), tmp_path / "weights.pt")
    monkeypatch.setattr(hub, "OPENAI_CACHE", tmp_path)
    tags = {"quick": {"quick_gelu": True}, "plain": {}}
    monkeypatch.setattr(
        open_clip, "get_pretrained_cfg", lambda _, tag: {"url": "x/weights.pt", **tags[tag]}
    )
    for tag, kind in (("quick", "QuickGELU"), ("plain", "GELU")):
        loaded = load_model(named, pretrained=tag)
        assert type(loaded.model.visual.transformer.resblocks[0].mlp.gelu).__name__ == kind
        assert loaded.warnings == ()


def test_openai_weights_are_known_to_be_quick_gelu() -> None:
    def activation(name: str, tag: str) -> bool:
        return bool(find_origin(name, tag).config["quick_gelu"])

    assert activation("ViT-B-32", "openai")
    assert activation("ViT-B/32", "openai")
    assert not activation("ViT-B-32", "laion2b_s34b_b79k")


@pytest.mark.parametrize("layer_scale", [False, True])
@pytest.mark.parametrize(("dtype", "off"), [("bfloat16", 0.04), ("float16", 0.005)])
def test_low_precision_is_close_to_float32(
    tmp_path: Path, layer_scale: bool, dtype: str, off: float
) -> None:
    """bfloat16 keeps 8 bits, float16 11: effects to a share of the largest, cosines to 0.999."""
    save_tiny(tmp_path, layer_scale=layer_scale)
    full = load_model(f"local-dir:{tmp_path}")
    low = load_model(f"local-dir:{tmp_path}", dtype=dtype)
    assert low.dtype == getattr(torch, dtype)
    images = tiny_images(3)
    embeddings = encode_images(low, images)
    assert embeddings.dtype == torch.float32
    assert ((embeddings * encode_images(full, images)).sum(dim=1) > 0.999).all()
    texts = encode_texts(low, ["a cat", "a dog"])
    assert texts.dtype == torch.float32
    assert ((texts * encode_texts(full, ["a cat", "a dog"])).sum(dim=1) > 0.999).all()
    expected = SecondOrderLens(full.model, 1).effects(images)
    lens = SecondOrderLens(low.model, 1)
    assert lens.trace(images).activations[1].dtype == low.dtype
    effects = lens.effects(images)
    assert effects.dtype == torch.float32
    assert (effects - expected).abs().max() < off * expected.abs().max()


def test_what_torch_cannot_compute_in_is_said_in_a_sentence(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*args: object) -> None:
        raise RuntimeError("\"baddbmm\" not implemented for 'Half'")

    monkeypatch.setattr(torch, "baddbmm", missing)
    with pytest.raises(InputError, match="cannot compute in float16 on cpu") as error:
        load_model(f"local-dir:{folder}", dtype="float16")
    sentence(error)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_hollow_model_runs_and_holds_no_text_tower(folder: Path, dtype: str) -> None:
    model = hollow_model(f"local-dir:{folder}", dtype=dtype)
    weight = model.visual.conv1.weight
    assert weight.dtype == getattr(torch, dtype)
    assert model.token_embedding.weight.device.type == "meta"
    full = load_model(f"local-dir:{folder}")
    images = tiny_images(2)
    shapes = [SecondOrderLens(m, 1).coefficients(images).shape for m in (model, full.model)]
    assert shapes[0] == shapes[1]


def test_encode_images_of_pictures_and_tensors(loaded: LoadedModel) -> None:
    pictures = [Image.new("RGB", (40, 40), colour) for colour in ("red", "green", "blue")]
    pixels = torch.stack([loaded.preprocess(picture) for picture in pictures])
    rows = encode_images(loaded, (picture for picture in pictures), batch_size=2)
    assert rows.shape == (3, 48)
    assert rows.dtype == torch.float32
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(rows, encode_images(loaded, pixels, batch_size=5))
    with torch.no_grad():
        torch.testing.assert_close(rows, loaded.model.encode_image(pixels, normalize=True))
    assert encode_images(loaded, []).shape == (0, 48)


def test_encode_images_lays_transparent_pictures_on_white(loaded: LoadedModel) -> None:
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    white, black = (Image.new("RGB", (40, 40), colour) for colour in ("white", "black"))
    rows = encode_images(loaded, [clear, white, black])
    torch.testing.assert_close(rows[0], rows[1])
    assert (rows[0] - rows[2]).abs().max() > 1e-2


def test_encode_texts(loaded: LoadedModel) -> None:
    texts = ["a cat", "two dogs", "word " * 100]
    rows = encode_texts(loaded, texts, batch_size=2)
    assert rows.shape == (3, 48)
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(rows[1:2], encode_texts(loaded, iter(["two dogs"])))
    assert encode_texts(loaded, []).shape == (0, 48)
    assert not rows.is_inference()  # usable as a target in a backward pass


@pytest.mark.parametrize("pool", ["argmax", "eos"])
def test_only_the_tokens_in_use_are_computed(
    loaded: LoadedModel, pool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same embeddings as of the whole context, from a run over a part of it."""
    texts = ["a", "red circle", "a small photograph of two dogs"]
    seen: list[int] = []
    model = loaded.model
    if pool == "eos":
        monkeypatch.setattr(model, "text_pool_type", "eos")
        monkeypatch.setattr(model, "text_eos_id", 49407)
    tokens = loaded.tokenizer(texts)
    whole = model.encode_text(tokens)
    handle = model.transformer.register_forward_pre_hook(lambda _, x: seen.append(x[0].shape[1]))
    try:
        torch.testing.assert_close(encode_tokens(model, tokens), whole, rtol=0, atol=2e-6)
        torch.testing.assert_close(encode_tokens(model, tokens[:1]), whole[:1], rtol=0, atol=2e-6)
    finally:
        handle.remove()
    assert seen == [8, 3], "two marks around the words"
    assert model.positional_embedding.shape[0] == model.attn_mask.shape[0] == 16


def test_a_tower_that_looks_ahead_computes_the_whole_context(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    tokens = loaded.tokenizer(["a"])
    monkeypatch.setattr(loaded.model, "text_pool_type", "last")
    handle = loaded.model.transformer.register_forward_pre_hook(
        lambda _, x: seen.append(x[0].shape[1])
    )
    try:
        encode_tokens(loaded.model, tokens)
    finally:
        handle.remove()
    assert seen == [16]


def test_encoding_refuses_bad_input(loaded: LoadedModel) -> None:
    with pytest.raises(InputError, match="batch size of 1 or more"):
        encode_texts(loaded, ["a"], batch_size=0)
    with pytest.raises(InputError, match="put it in a list"):
        encode_texts(loaded, "a cat")
    with pytest.raises(InputError, match=r"\[3, 32, 32\] was given"):
        encode_images(loaded, tiny_images(1)[0])


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "La", "RGBa", "P", "L", "RGB"])
def test_transparency_is_laid_on_white(mode: str, tmp_path: Path) -> None:
    """A black square on a transparent ground; the ground's own colour must not show."""
    ground = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    ground.paste((0, 0, 0, 255), (2, 2, 6, 6))
    if mode in ("RGBA", "LA"):
        image = ground.convert(mode)
    elif mode in ("La", "RGBa"):
        image = ground.convert({"La": "LA", "RGBa": "RGBA"}[mode]).convert(mode)
    elif mode == "PA":
        image = Image.new("PA", (8, 8))
        image.putpalette([0, 0, 0] * 256)
        image.putalpha(ground.getchannel("A"))
    else:  # PNG's single transparent colour
        opaque = Image.new("RGB", (8, 8), (200, 200, 200))
        opaque.paste((0, 0, 0), (2, 2, 6, 6))
        path = tmp_path / "picture.png"
        plain = opaque.quantize(4) if mode == "P" else opaque.convert(mode)
        colour: Any = plain.getpixel((0, 0))
        plain.save(path, transparency=colour)
        image = Image.open(path)
    assert image.mode == mode
    result = to_rgb(image)
    assert result.mode == "RGB"
    assert result.getpixel((0, 0)) == (255, 255, 255)
    assert result.getpixel((4, 4)) == (0, 0, 0)


def test_opaque_pictures_keep_their_pixels() -> None:
    assert to_rgb(Image.new("L", (2, 2), 77)).getpixel((0, 0)) == (77, 77, 77)
    half = to_rgb(Image.new("RGBA", (2, 2), (0, 0, 0, 128))).getpixel((0, 0))
    assert half == (127, 127, 127)


def test_unknown_names() -> None:
    with pytest.raises(InputError, match=r"did you mean.* ViT-B-32") as error:
        load_model("vitb-32")
    assert "'vitb-32'" in sentence(error)
    with pytest.raises(InputError, match="local-dir:FOLDER") as error:
        load_model("zzzzzzzz")
    sentence(error)


def test_weights_that_are_neither_tag_nor_file(named: str) -> None:
    for given, listed in (("laion2b", "laion2b_e16"), ("nosuchtag", "one of openai,")):
        with pytest.raises(InputError, match=listed) as error:
            load_model("ViT-B-32", pretrained=given)
        assert "neither a file nor a tag" in sentence(error)
    with pytest.raises(InputError, match="lists no tags"):
        load_model(named, pretrained="nosuchtag")


def test_weights_that_do_not_fit(named: str, tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    torch.save(tiny_clip(embed=32).state_dict(), other)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"not weights at all")
    for path in (other, broken):
        with pytest.raises(InputError, match="weights belong to this model") as error:
            load_model(named, pretrained=str(path))
        assert path.name in sentence(error)


def test_folders_that_cannot_be_loaded(tmp_path: Path) -> None:
    def refused(match: str) -> None:
        with pytest.raises(InputError, match=match) as error:
            load_model(f"local-dir:{folder}")
        assert str(folder) in sentence(error)

    folder = tmp_path / "absent"
    refused("no model folder")
    folder.mkdir()
    refused("no open_clip_config.json")
    config = folder / "open_clip_config.json"
    contents = ("{", "[]", "{}", '{"model_cfg": {}}', '{"model_cfg": {"vision_cfg": 3}}')
    for content in contents:
        config.write_text(content, encoding="utf-8")
        refused("cannot be read")
    config.write_text(json.dumps({"model_cfg": tiny_config()}), encoding="utf-8")
    refused("no weights")
    save_tiny(folder, embed=32)
    config.write_text(json.dumps({"model_cfg": tiny_config()}), encoding="utf-8")
    refused("could not be loaded")
    save_tiny(folder)
    with pytest.raises(InputError, match="brings its own") as error:
        load_model(f"local-dir:{folder}", pretrained="openai")
    sentence(error)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"dtype": "float8"}, "float32, bfloat16, float16"),
        ({"dtype": torch.float64}, "'float64'"),
        ({"device": "toaster"}, "no device"),
        ({"device": "meta"}, "use cpu or cuda"),
        ({"device": "cuda:3"}, "2 CUDA devices"),
    ],
)
def test_devices_and_dtypes(
    folder: Path, settings: dict[str, Any], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(InputError, match=match) as error:
        load_model(f"local-dir:{folder}", **settings)
    sentence(error)


def test_cuda_on_a_machine_without(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="0 CUDA devices") as error:
        load_model(f"local-dir:{folder}", device="cuda")
    assert "use cpu" in sentence(error)


def test_cuda_devices_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    from explorer.lens.models import _device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert _device("cuda") == torch.device("cuda")
    assert _device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("RN50", "is a ResNet"),
        ("convnext_base", "timm model convnext_base"),
        ("coca_ViT-B-32", "by attention"),
    ],
)
def test_unsupported_names_are_refused_before_weights_are_fetched(
    name: str, match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "create", None)
    with pytest.raises(UnsupportedModelError, match=match) as error:
        load_model(name)
    assert "choose such a model, for example ViT-B-32" in sentence(error)


def stub(**changes: Any) -> Any:
    """A tiny model whose image tower has some attributes replaced."""
    model = tiny_clip()
    for name, value in changes.items():
        setattr(model.visual, name, value)
    return model


def batch_second() -> Any:
    model = tiny_clip()
    model.visual.transformer.batch_first = False
    return model


def without_norm_weights() -> Any:
    return tiny_clip(norm_kwargs={"elementwise_affine": False})


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (SimpleNamespace, "missing from this SimpleNamespace .a bundle's is bundle.model.model"),
        (lambda: SimpleNamespace(visual=torch.nn.Identity()), "is of class Identity"),
        (lambda: tiny_clip(attentional_pool=True, attn_pooler_heads=4), "by attention"),
        (lambda: tiny_clip(pool_type="avg"), "pooling 'avg'"),
        (lambda: tiny_clip(pool_type="avg", final_ln_after_pool=True), "pooling 'avg'"),
        (lambda: stub(proj=None), "no projection"),
        (lambda: tiny_clip(block_type="custom"), "another kind"),
        (batch_second, "tokens before images"),
        (without_norm_weights, "other than LayerNorm"),
        (lambda: tiny_clip(layers=1), "a single block"),
    ],
)
def test_unsupported_towers(make: Any, match: str) -> None:
    with pytest.raises(UnsupportedModelError, match=match) as error:
        check_supported(make())
    assert "VisionTransformer with class-token pooling" in sentence(error)


def test_real_architectures_are_supported() -> None:
    with torch.device("meta"):
        for name in ("ViT-B-32-quickgelu", "ViT-B-16", "ViT-L-14-336", "ViT-H-14"):
            check_supported(open_clip.CLIP(**open_clip.get_model_config(name)))


def test_inputs_that_are_not_square(tmp_path: Path) -> None:
    save_tiny(tmp_path, image=[32, 48])
    with pytest.raises(UnsupportedModelError, match="32 x 48") as error:
        load_model(f"local-dir:{tmp_path}")
    sentence(error)


@pytest.mark.parametrize(
    "settings",
    [
        {"std": [0, 0, 0]},
        {"mean": [0.5]},
        {"mean": "grey"},
        {"size": -3},
        {"interpolation": "magic"},
        {"resize_mode": 7},
        [],
        None,
    ],
    ids=str,
)
def test_settings_of_pictures_that_cannot_be_followed_are_refused(
    tiny_model: Path, tmp_path: Path, settings: object
) -> None:
    """A bug: a standard deviation of 0 was found with the first picture, by a traceback."""
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    file = folder / "open_clip_config.json"
    config = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**config, "preprocess_cfg": settings}), "utf-8")
    try:
        loaded = load_model(f"local-dir:{folder}")
    except InputError as error:
        assert str(folder) in str(error)
    else:  # open_clip takes its own for what it does not know
        assert torch.isfinite(loaded.preprocess(Image.new("RGB", (9, 5)))).all()
        assert settings != {"std": [0, 0, 0]}


def test_a_description_nested_without_end_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "model"))
    (folder / "open_clip_config.json").write_text("[" * 200_000, "utf-8")
    with pytest.raises(InputError, match=r"open_clip_config\.json cannot be read"):
        load_model(f"local-dir:{folder}")
