"""Spurious concepts, composed pictures, audits, prompts: against oracles and by intervention."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from dataclasses import asdict, replace
from itertools import islice, permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.attack import audit as attack_audit
from explorer.attack import prompts as attack_images
from explorer.attack import trials as attack_trials
from explorer.attack.batch import Attack, pair_stem, zip_file
from explorer.attack.closeness import closeness
from explorer.attack.concepts import AttackSettings, rank_concepts
from explorer.attack.indirect import indirect_directions
from explorer.attack.pairs import Classes, Pair, propose_pairs, unlike
from explorer.attack.prompts import generate, load_pipeline, prompts
from explorer.attack.scenes import APART, check_hidden, compose_attack
from explorer.attack.separation import (
    label_scores,
    most_separating,
    picture_pushes,
    pooled_scores,
    preferred,
    separations,
)
from explorer.attack.trials import FINAL, FINALISTS, find_concepts, gains, pair_scores, recorded
from explorer.attack.vocabulary import stem, stems, vocabulary
from explorer.bundle import Bundle, reseal_evidence
from explorer.commands.main import main
from explorer.errors import InputError
from explorer.evidence.measures import attack as attack_evidence
from explorer.evidence.measures.attack import METHODS, measure_attack
from explorer.lens import trace
from explorer.lens.interventions import ablating
from explorer.picture.model import open_lens_model
from explorer.picture.rivals import explained_pass
from explorer.search.texts import text_embeddings
from tests.support.tiny import tiny_clip, tiny_images

SOURCE, TARGET = "blue square", "red circle"
ANY = AttackSettings(neurons=50, concepts=4, near=1.0)


@pytest.fixture(scope="module")
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle.open(tiny_bundle)


@pytest.fixture(scope="module")
def pair(bundle: Bundle) -> tuple[np.ndarray, np.ndarray]:
    source, target = text_embeddings(bundle, [SOURCE, TARGET])
    return source, target


def test_stems_join_forms_and_drop_function_words() -> None:
    assert stem("Boxes") == stem("box")
    assert stem("ponies") == stem("pony")
    assert stem("running") == "runn"
    assert stems(["The man with dogs", "a dog"]) == {stem("man"), "dog"}


def test_separations_are_projections_of_typical_effects(bundle: Bundle, pair: tuple) -> None:
    source, target = pair
    found = separations(bundle, source, target)
    row = 130
    unit = (target - source) / np.linalg.norm(target - source)
    expected = bundle.neurons["scale"].iloc[row] * (bundle.directions[row].astype("f8") @ unit)
    assert found[row] == pytest.approx(expected, rel=1e-4)
    assert separations(bundle, target, source) == pytest.approx(-found)
    with pytest.raises(InputError, match="cannot tell the two classes apart"):
        separations(bundle, source, source)
    rows = most_separating(found, 7)
    assert set(rows) == set(np.argsort(np.abs(found))[-7:])


def test_pooling_weighs_by_separation_and_sign() -> None:
    ids = np.array([[0, 2], [2, -1]])
    weights = np.array([[0.5, -1.0], [2.0, 9.0]])
    scores = pooled_scores(ids, weights, np.array([2.0, -1.0], np.float32), 4)
    assert scores.tolist() == [1.0, 0.0, -4.0, 0.0]


def test_scores_add_up_over_carriers_and_exclusions_hold(bundle: Bundle, pair: tuple) -> None:
    everything = AttackSettings(neurons=384, concepts=30, near=1.0)
    found = rank_concepts(bundle, SOURCE, TARGET, pair, everything)
    scores = [concept.score for concept in found.concepts]
    assert scores == sorted(scores, reverse=True)
    assert min(scores) > 0
    assert all(concept.gain is None for concept in found.concepts)
    moved = separations(bundle, *pair)
    atoms = bundle.dictionary.atoms()
    place = bundle.texts.index(found.concepts[0].text)
    slow = 0.0
    for row in range(len(moved)):
        for text, weight in zip(bundle.concept_ids[row], bundle.concept_weights[row], strict=True):
            if text >= 0:
                slow += float(moved[row]) * float(weight) * float(atoms[text] @ atoms[place])
    assert scores[0] == pytest.approx(slow, rel=1e-3)
    for concept in found.concepts:
        assert not stems([concept.text]) & stems([SOURCE, TARGET])
        parts = [carrier.part for carrier in concept.carriers]
        assert parts == sorted(parts, reverse=True)
        assert all(part > 0 for part in parts)
    assert all("stem" in why or "cosine 1.00" in why for _, why in found.left_out)
    json.dumps(found.as_dict())


def test_near_texts_are_left_out_by_cosine(bundle: Bundle, pair: tuple) -> None:
    near = 0.2
    close = closeness(bundle, SOURCE, TARGET, pair, near)
    words = vocabulary(bundle)
    for label, source, target, why in zip(
        words.labels, close.source, close.target, close.reasons, strict=True
    ):
        shares = bool(stems([label]) & stems([SOURCE, TARGET]))
        assert bool(why) == (shares or max(source, target) >= near)
    with pytest.raises(InputError, match="No concept with pictures is left"):
        rank_concepts(bundle, SOURCE, TARGET, pair, AttackSettings(near=1e-6, neurons=1))


@pytest.mark.parametrize("bad", [{"neurons": 0}, {"concepts": 0}, {"near": 0}, {"near": 1.5}])
def test_settings_are_checked(bad: dict) -> None:
    with pytest.raises(InputError):
        AttackSettings(**bad)


def test_a_concept_is_shown_by_the_pictures_that_push_most(bundle: Bundle, pair: tuple) -> None:
    pushes = picture_pushes(bundle, *pair)
    unit = (pair[1] - pair[0]) / np.linalg.norm(pair[1] - pair[0])
    rows = bundle.image_embeddings.astype("f8")
    assert pushes[5] == pytest.approx((rows[5] - rows.mean(0)) @ unit, abs=1e-5)
    assert not pushes[len(rows) :].any()
    for label, chosen in preferred(bundle, vocabulary(bundle).labels, pushes).items():
        own = pushes[list(vocabulary(bundle).pictures[label])]
        assert pushes[list(chosen)].tolist() == sorted(own, reverse=True)[: len(chosen)]
    assert label_scores(bundle, np.zeros(len(bundle.texts))).max() == 0


def test_gains_are_what_a_picture_adds_to_the_margin(bundle: Bundle, pair: tuple) -> None:
    words = vocabulary(bundle)
    shown = {text: words.pictures[text][:2] for text in ("green triangle", "orange triangle")}
    found = gains(bundle, SOURCE, TARGET, pair, shown)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    unit = [one / np.linalg.norm(one) for one in pair]

    def margin(number: int, concepts: dict) -> float:
        made = compose_attack(
            bundle, SOURCE, TARGET, concepts, sources=words.pictures[SOURCE], seed=APART,
            number=number, added=1,
        )  # fmt: skip
        opened = open_lens_model(bundle)
        pixels = opened.loaded.preprocess(made.image)[None]
        image = torch.nn.functional.normalize(opened.loaded.model.encode_image(pixels))[0]
        image = image.detach().numpy()
        return float(image @ unit[1] - image @ unit[0])

    for concept, pictures in shown.items():
        slow = [
            margin(number, {concept: [image]}) - margin(number, {})
            for image in pictures
            for number in FINAL
        ]
        assert found[concept] == pytest.approx(np.mean(slow), abs=1e-5)


def test_the_best_by_trial_are_kept(bundle: Bundle, pair: tuple) -> None:
    two = AttackSettings(neurons=50, concepts=2, near=1.0)
    found = find_concepts(bundle, SOURCE, TARGET, pair, two)
    listed = rank_concepts(bundle, SOURCE, TARGET, pair, two)
    assert found.tried == len(listed.concepts) > len(found.concepts) == 2
    gained = gains(bundle, SOURCE, TARGET, pair, listed.shown)
    assert len(gained) == min(FINALISTS, found.tried)
    assert [(c.text, c.gain) for c in found.concepts] == list(gained.items())[:2]
    assert find_concepts(bundle, SOURCE, TARGET, pair, two) == found
    assert found.as_dict()["concepts"][0]["gain"] == round(found.concepts[0].gain or 0, 4)


def test_a_measured_pair_is_not_tried_again(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = tmp_path / "tiny"
    shutil.copytree(bundle.path, copied)
    held = Bundle.open(copied)
    settings = AttackSettings(neurons=50, concepts=2, near=1.0)
    source, target = next(
        (one, other)
        for one, other in permutations(Classes.of(held).labels, 2)
        if _has_concepts(held, one, other, settings)
    )
    found = measure_attack(
        held, pairs=[Pair(source, target)], n=1, methods=METHODS[:2], settings=settings
    )
    embeddings = tuple(np.stack(text_embeddings(held, [source, target])))
    tried = find_concepts(held, source, target, embeddings, settings)
    (row,) = found["by_pair"]
    assert row["concepts"] == [concept.text for concept in tried.concepts]
    assert row["gains"] == pytest.approx([c.gain for c in tried.concepts], abs=1e-5)
    held = reseal_evidence(held, {"attack": found})
    monkeypatch.setattr(attack_trials, "gains", None)  # a trial would now fail
    again = find_concepts(held, source, target, embeddings, settings)
    assert [c.text for c in again.concepts] == row["concepts"]
    assert [c.gain for c in again.concepts] == row["gains"]
    assert again.tried == tried.tried
    for other in (replace(settings, near=0.9999), replace(settings, concepts=1)):
        with pytest.raises(TypeError):
            find_concepts(held, source, target, embeddings, other)
    assert recorded(held, replace(again, source=target, target=source), settings) == {}
    assert recorded(held, replace(again, concepts=again.concepts[:1]), settings) == {}


def test_trials_never_show_the_picture_that_is_attacked(
    bundle: Bundle, pair: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, used = attack_trials.compose_attack, []

    def watched(*args: Any, **named: Any) -> Any:
        made = own(*args, **named)
        used.append(made.recipe.source_image)
        return made

    monkeypatch.setattr(attack_trials, "compose_attack", watched)
    find_concepts(bundle, SOURCE, TARGET, pair, ANY)
    assert set(used) <= set(vocabulary(bundle).pictures[SOURCE])


@pytest.mark.parametrize("number", range(12))
def test_source_is_whole_and_dominant_and_target_absent(bundle: Bundle, number: int) -> None:
    names = ["green triangle", "black triangle", "orange triangle", "purple triangle"]
    concepts = {name: vocabulary(bundle).pictures[name] for name in names}
    made = compose_attack(bundle, SOURCE, TARGET, concepts, seed=3, number=number, size=168)
    plain = compose_attack(bundle, SOURCE, TARGET, {}, seed=3, number=number, size=168)
    recipe = made.recipe
    assert (made.source_mask == plain.source_mask).all()
    pixels, alone = np.asarray(made.image), np.asarray(plain.image)
    assert (pixels[made.source_mask] == alone[made.source_mask]).all()  # nothing covers it
    left, top, width, height = recipe.source_box
    assert 0 <= left <= 168 - width and 0 <= top <= 168 - height
    shares = [added.share for added in recipe.added]
    assert recipe.added
    assert sum(shares) <= recipe.source_share + 1e-3
    assert max(shares) < recipe.source_share
    changed = (pixels != alone).any(axis=2)
    for added in recipe.added:
        x, y, w, h = added.box
        changed[y : y + h, x : x + w] = False
        labels = bundle.pictures.table["label"]
        assert labels.iloc[added.image] == added.concept
        assert bundle.pictures.table["split"].iloc[added.image] == "corpus"
        assert not stems([labels.iloc[added.image]]) & stems([TARGET])
    assert not changed.any()  # only the boxes differ
    again = compose_attack(bundle, SOURCE, TARGET, concepts, seed=3, number=number, size=168)
    assert (np.asarray(again.image) == pixels).all()
    assert again.recipe == recipe
    json.dumps(recipe.as_dict())


def test_scenes_refuse_what_they_must(bundle: Bundle) -> None:
    with pytest.raises(InputError, match="would show the target"):
        compose_attack(bundle, SOURCE, TARGET, {"red triangle": [3]})
    with pytest.raises(InputError, match="No picture of the corpus"):
        compose_attack(bundle, SOURCE, TARGET, {"zebra": []})
    check_hidden(vocabulary(bundle), TARGET, ["green triangle"])


def test_the_pictures_named_are_taken(bundle: Bundle) -> None:
    shown = vocabulary(bundle).pictures["green triangle"][-1:]
    made = compose_attack(bundle, SOURCE, TARGET, {"green triangle": shown})
    assert made.recipe.added[0].image == shown[0]
    source = vocabulary(bundle).pictures[SOURCE][-1]
    made = compose_attack(bundle, SOURCE, TARGET, {}, sources=[source])
    assert made.recipe.source_image == source


def test_batches_score_what_they_compose(bundle: Bundle) -> None:
    attack = Attack.of(bundle, SOURCE, TARGET, ANY)
    made = list(attack.attempts(3, seed=2))
    assert [a.scene.recipe.number for a in made] == [0, 1, 2]
    for attempt in made:
        again = pair_scores(bundle, [attempt.scene.image], attack.texts)[0]
        assert (attempt.source_score, attempt.target_score) == pytest.approx(again, abs=1e-5)
        every = Classes.of(bundle).scores([attempt.scene.image])[0]
        first = Classes.of(bundle).labels[int(every.argmax())]
        assert attempt.taken == (first == TARGET)
        assert attempt.rival <= every.max() + 1e-5
        assert attempt.fooled == (attempt.target_score > attempt.source_score)
    with zipfile.ZipFile(io.BytesIO(zip_file(attack.ranking, made))) as archive:
        facts = json.loads(archive.read("recipes.json"))
        assert len(archive.namelist()) == 4
        for record, attempt in zip(facts["pictures"], made, strict=True):
            picture = Image.open(io.BytesIO(archive.read(record["file"])))
            assert (np.asarray(picture) == np.asarray(attempt.scene.image)).all()
            assert record["recipe"]["number"] == attempt.scene.recipe.number
    assert zip_file(attack.ranking, made) == zip_file(attack.ranking, made)
    assert pair_stem(attack.ranking) == "blue-square-as-red-circle"
    with pytest.raises(InputError, match="ask for 1 to"):
        next(attack.attempts(0))


def test_pairs_are_seeded_recognised_and_unlike(bundle: Bundle) -> None:
    classes = Classes.of(bundle)
    assert classes is Classes.of(bundle)
    for place in range(len(classes.labels)):  # a random model recognises by chance; say it does
        scores = np.full(len(classes.labels), -1.0, np.float32)
        scores[place] = 1
        classes.read[place] = scores
    with pytest.raises(InputError, match="recognised and unlike"):
        propose_pairs(bundle, classes, 2)  # all are circles
    with pytest.raises(InputError, match="at least one"):
        propose_pairs(bundle, classes, 0)
    assert not unlike(bundle, classes, 0, 1, 1.0)
    with pytest.raises(InputError, match="No held-out picture is called"):
        classes.place("zebra")
    classes.read.clear()


def _has_concepts(bundle: Bundle, source: str, target: str, settings: AttackSettings) -> bool:
    one, other = text_embeddings(bundle, [source, target])
    try:
        return bool(rank_concepts(bundle, source, target, (one, other), settings).concepts)
    except InputError:
        return False


def test_attacks_are_measured(bundle: Bundle) -> None:
    settings = AttackSettings(neurons=100, concepts=4, near=0.99)
    classes = Classes.of(bundle)
    pairs = [
        Pair(one, other)
        for one, other in permutations(classes.labels, 2)
        if _has_concepts(bundle, one, other, settings)
    ][:2]
    said: list[str] = []
    found = measure_attack(bundle, pairs=pairs, n=2, settings=settings, progress=said.append)
    assert found["pairs"] == 2
    assert set(found["methods"]) == set(METHODS)
    for figures in found["methods"].values():
        for name in ("two_way", "all_classes"):
            assert 0 <= figures[name]["value"] <= 1
            assert figures[name]["interval"] is None  # of four pictures
            assert figures["all_classes"]["value"] <= figures["two_way"]["value"]
    assert said
    again = measure_attack(bundle, pairs=pairs, n=2, settings=settings)
    assert again == found
    json.dumps(found)
    with pytest.raises(InputError, match="'magic'"):
        measure_attack(bundle, pairs=pairs, methods=["magic"])
    with pytest.raises(InputError, match="at least one scene"):
        measure_attack(bundle, pairs=pairs, n=0)


def test_an_interrupted_attack_goes_on_where_it_stopped(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = AttackSettings(neurons=100, concepts=4, near=0.99)
    labels = Classes.of(bundle).labels
    pairs = [
        Pair(one, other)
        for one, other in permutations(labels, 2)
        if _has_concepts(bundle, one, other, settings)
    ][:3]

    def run(work: Path | None) -> dict[str, Any]:
        return measure_attack(
            bundle, pairs=pairs, n=1, methods=METHODS[:2], settings=settings, work=work
        )

    asked: list[Pair] = []
    own = attack_evidence.choices

    def stop_at_third(bundle: Bundle, pair: Pair, *rest: Any) -> Any:
        asked.append(pair)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return own(bundle, pair, *rest)

    monkeypatch.setattr(attack_evidence, "choices", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path)
    assert run(tmp_path) == run(None)
    assert asked[3:] == [pairs[2], *pairs]


def test_indirect_directions_are_those_of_ablations() -> None:
    model = tiny_clip()
    images, layer, neuron = tiny_images(8), 2, 11
    active = trace(model, images, [layer]).post_activations(layer)
    stream = explained_pass(model, images).streams[layer].detach()
    directions, scale = indirect_directions(model, layer, stream, active)
    mean = active.mean(0)
    effects = []
    for image in range(8):

        def hold(module: object, args: tuple, image: int = image) -> tuple:
            changed = args[0].clone()
            changed[..., neuron] = mean[:, neuron]
            return (changed,)

        handle = model.visual.transformer.resblocks[layer].mlp.c_proj.register_forward_pre_hook(
            hold
        )
        with torch.no_grad():
            without = model.visual(images[image : image + 1])
        handle.remove()
        effects.append((model.visual(images[image : image + 1]) - without)[0].detach())
    away = (active - mean)[:, :, neuron].norm(dim=1)
    chosen = torch.stack(effects)[away.topk(6).indices]
    first = torch.linalg.svd(chosen, full_matrices=False).Vh[0]
    assert abs(float(first @ directions[neuron])) == pytest.approx(1, abs=1e-3)
    assert float((chosen @ directions[neuron]).sum()) > 0
    assert float(scale[neuron]) == pytest.approx(
        float(chosen.square().sum(1).mean().sqrt()), rel=1e-3
    )


def test_ablation_holds_neurons_at_their_mean_and_leaves_no_hook(bundle: Bundle) -> None:
    opened = open_lens_model(bundle)
    means = attack_audit.mean_activations(bundle)
    images = tiny_images(2)
    rows = [3, 130, 131]
    found = attack_audit.ablated_output(opened, bundle, images, rows, means)
    seen: dict[int, torch.Tensor] = {}
    visual = opened.loaded.model.visual

    def keep(layer: int) -> object:
        return lambda module, args: seen.update({layer: args[0]})

    with ablating(opened.loaded.model, {0: [3], 1: [2, 3]}, means):
        handles = [
            visual.transformer.resblocks[n].mlp.c_proj.register_forward_pre_hook(keep(n))
            for n in (0, 1)
        ]
        with torch.no_grad():
            expected = visual(images)
        for handle in handles:
            handle.remove()
    assert torch.allclose(seen[0][:, :, 3], means[0][:, 3].expand(2, -1), atol=1e-6)
    assert torch.allclose(seen[1][:, :, [2, 3]], means[1][:, [2, 3]].expand(2, -1, -1), atol=1e-6)
    assert torch.allclose(found, expected, atol=1e-6)
    with pytest.raises(RuntimeError), ablating(opened.loaded.model, {0: [3]}, means):
        raise RuntimeError
    hooks = [block.mlp.c_proj._forward_pre_hooks for block in visual.transformer.resblocks]
    assert not any(hooks)


def test_audits_name_pushers_and_mend(bundle: Bundle, pair: tuple) -> None:
    picture = bundle.pictures.rgb(7)
    found = attack_audit.audit(bundle, picture, SOURCE, TARGET, pair)
    pushes = [pusher.push for pusher in found.neurons]
    assert pushes == sorted(pushes, reverse=True)
    assert all(push > 0 for push in pushes)
    assert len(pushes) == found.ablated
    assert found.corrected == (found.after[0] >= found.after[1])
    for text, score in found.concepts:
        assert score > 0
        assert not stems([text]) & stems([SOURCE, TARGET])
    one = attack_audit.audit(bundle, picture, SOURCE, TARGET, pair, steps=(1,))
    assert one.ablated == 1
    assert one.neurons[0] == found.neurons[0]
    asdict(found)


def test_prompts_name_the_source_and_the_concepts() -> None:
    texts = prompts("owl", ["kite", "sock", "anvil", "pear"], 4, seed=1)
    assert texts == prompts("owl", ["kite", "sock", "anvil", "pear"], 4, seed=1)
    sets = [
        frozenset(
            text.removesuffix(" behind it").split("with ")[1].replace(" and", ",").split(", ")
        )
        for text in texts
    ]
    assert len(set(sets)) == 4, "all four sets of three, none in another order"
    assert len(prompts("owl", ["kite", "sock", "anvil"], 6)) == 1
    assert "a euro banknote" in prompts("six thirty", ["euro banknote"], 1)[0]
    assert "photo of six thirty" in prompts("six thirty", ["euro banknote"], 1)[0]
    assert all("an owl" in text for text in texts)
    with pytest.raises(InputError, match="at least one concept"):
        prompts("owl", [], 1)
    with pytest.raises(InputError, match="template"):
        prompts("owl", ["kite"], 1, template="a photo")


def test_without_diffusers_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with pytest.raises(InputError) as raised:
        load_pipeline("somewhere")
    assert str(raised.value) == attack_images.NO_DIFFUSERS


@pytest.fixture(scope="module")
def tiny_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A text-to-image pipeline of random weights, saved as a folder."""
    diffusers = pytest.importorskip("diffusers")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("pipeline")
    tokens = {"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}
    (folder / "vocab.json").write_text(json.dumps(tokens))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        text = transformers.CLIPTextModel(
            transformers.CLIPTextConfig(
                vocab_size=3, hidden_size=32, intermediate_size=37, num_attention_heads=4,
                num_hidden_layers=2, max_position_embeddings=16, bos_token_id=0, eos_token_id=1,
            )
        )  # fmt: skip
        unet = diffusers.UNet2DConditionModel(
            block_out_channels=(32, 64), layers_per_block=1, sample_size=8, in_channels=4,
            out_channels=4, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=32,
        )  # fmt: skip
        vae = diffusers.AutoencoderKL(
            block_out_channels=(32, 64), in_channels=3, out_channels=3, latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        )  # fmt: skip
    pipeline = diffusers.StableDiffusionPipeline(
        vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet,
        scheduler=diffusers.DDIMScheduler(), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(folder / "model")
    return folder / "model"


def test_pictures_are_generated_seeded_and_stopped(tiny_pipeline: Path) -> None:
    pipeline = load_pipeline(str(tiny_pipeline))
    texts = prompts("owl", ["kite", "sock", "pear", "cup"], 2)
    shares: list[float] = []
    sizes = {"height": 16, "width": 16}
    made = list(generate(pipeline, texts, steps=2, progress=shares.append, **sizes))
    assert [picture.size for picture in made] == [(16, 16)] * 2
    assert shares == [0.25, 0.5, 0.75, 1.0]
    again = next(generate(pipeline, texts, steps=2, **sizes))
    assert (np.asarray(again) == np.asarray(made[0])).all()
    assert not list(generate(pipeline, texts, steps=2, stopped=lambda: True, **sizes))
    calls: list[int] = []

    def later() -> bool:
        calls.append(1)
        return len(calls) > 1

    assert not list(generate(pipeline, texts, steps=2, stopped=later, **sizes))
    first = islice(generate(pipeline, texts, steps=2, **sizes), 1)
    assert len(list(first)) == 1


def test_a_wrong_pipeline_is_one_sentence(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    with pytest.raises(InputError, match="cannot be opened"):
        load_pipeline(str(tmp_path / "none"))


def test_a_pipeline_of_pickled_weights_is_refused(tiny_pipeline: Path, tmp_path: Path) -> None:
    """Opening a pickle runs what is in it."""
    load_pipeline(str(tiny_pipeline)).save_pretrained(tmp_path, safe_serialization=False)
    with pytest.raises(InputError, match="cannot be opened"):
        load_pipeline(str(tmp_path))


def test_the_command_measures_and_writes(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["attack", str(tiny_bundle), "--n", "1", "--json"]
    for wrong, said in (("cat", "is not a pair"), (",", "at least one pair")):
        assert main([*common, "--pairs", wrong]) == 2
        assert said in capsys.readouterr().err
    assert main([*common, "--pairs", "zebra>red circle"]) == 2
    said = capsys.readouterr().err
    assert "No held-out picture is called “zebra”" in said and "indirect effects" not in said
    assert main([*common, "--pairs", "red circle>red circle"]) == 2
    assert "name two classes" in capsys.readouterr().err
    assert main([*common, "--count", "0"]) == 2
    assert "--count is the number of pairs" in capsys.readouterr().err
    assert main(["attack", str(tiny_bundle), "--n", "0"]) == 2
    loose = AttackSettings(near=0.999, concepts=2)
    bundle = Bundle.open(tiny_bundle)
    names = Classes.of(bundle).labels
    source, target = next(p for p in permutations(names, 2) if _has_concepts(bundle, *p, loose))
    with pytest.MonkeyPatch.context() as patch:
        own = rank_concepts  # a random text tower finds all texts near
        patch.setattr(
            "explorer.attack.trials.rank_concepts", lambda b, s, t, e, _: own(b, s, t, e, loose)
        )
        patch.setattr(
            "explorer.evidence.measures.attack.rank_concepts",
            lambda b, s, t, e, _: own(b, s, t, e, loose),
        )
        arguments = ["--pairs", f"{source}>{target}", "--methods", "second-order;none"]
        assert main([*common, *arguments, "-o", str(tmp_path / "out")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["methods"]) == {"second-order", "none"}
    assert found["rule"] == "Pairs that were named."
    with zipfile.ZipFile(found["files"][0]) as archive:
        assert "recipes.json" in archive.namelist()
