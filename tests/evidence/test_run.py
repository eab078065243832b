"""The evidence command: its JSON, resuming, what it leaves in the bundle, bad input."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import explorer
from explorer.bundle import MANIFEST, Bundle, Manifest, reseal_evidence, verify
from explorer.commands.main import main
from explorer.errors import InputError
from explorer.evidence import EvidenceSettings, measure
from explorer.evidence.evaluation import Judge, open_evaluation
from explorer.evidence.measures import kinds as kinds_module
from explorer.evidence.registry import choose_sections
from explorer.evidence.work import Work, stream
from explorer.lens import SecondOrderLens
from explorer.pixels import to_rgb
from explorer.resumable import Interrupted, Reporter
from tests.conftest import draw
from tests.support.evidence import SMALL, batch_of, context_of, few_resamples, plain_ranks

CLAIMS = [
    "recall",
    "controls",
    "ablation",
    "selectivity",
    "rank",
    "texts",
    "kinds",
    "predict",
    "pairs",
    "fit",
]
OPTIONS = [
    "--means", "20", "--text-neurons", "30", "--kind-neurons", "6", "--batch-size", "3", "--json",
]  # fmt: skip


def quiet(line: str) -> None:
    """Hear nothing."""


@pytest.fixture(scope="module")
def found(measured: Path) -> dict[str, Any]:
    """All claims, measured in one go, without a working folder."""
    evidence = Bundle.open(measured).manifest.evidence
    return {name: evidence[name] for name in CLAIMS}


def figures(part: Any, key: str = "") -> list[tuple[str, dict[str, Any]]]:
    if isinstance(part, dict) and "interval" in part:
        return [(key, part)]
    items = part.items() if isinstance(part, dict) else enumerate(part)
    pairs = [(f"{key}.{name}", value) for name, value in items]
    return [f for k, v in pairs if isinstance(v, dict | list) for f in figures(v, k)]


def test_every_figure_has_a_count_and_an_interval_around_it(found: dict[str, Any]) -> None:
    json.dumps(found, allow_nan=False)
    for section in CLAIMS:
        assert found[section]["seed"] == 0
        if section != "controls":  # which are measured on corpus pictures
            assert found[section]["pictures"] == found[section]["candidates"] == 4
        inside = figures(found[section], section)
        assert len(inside) > (8 if section != "recall" else 1)
        for key, figure in inside:
            assert set(figure) == {"value", "interval", "count"}, key
            if figure["interval"]:
                assert figure["interval"][0] <= figure["value"] + 1e-4, key
                assert figure["value"] <= figure["interval"][1] + 1e-4, key
                assert figure["count"] > 0, key


def test_nothing_ablated_is_the_models_recognition(found: dict[str, Any]) -> None:
    recall = found["recall"]
    for section in ("ablation", "selectivity", "rank", "texts"):
        for k in (1, 10):
            assert found[section]["full"][f"recall@{k}"] == recall[f"recall@{k}"]
    lowered = found["selectivity"]["lowered"]
    assert lowered[0]["recall@1"] == found["selectivity"]["all_layers"]["only_significant"]
    assert lowered[0]["kept"] == found["selectivity"]["all_layers"]["kept_by_significant"]
    shares = [row["effects"]["value"] for row in lowered]
    assert shares == sorted(shares)
    everywhere = found["ablation"]["all_layers"]["second_order"]["recall@1"]["value"]
    assert found["selectivity"]["all_layers"]["ablated"]["value"] == everywhere
    assert found["rank"]["all_layers"]["ablated"]["recall@1"]["value"] == everywhere
    assert found["texts"]["all_neurons"]["ablated"]["value"] == everywhere
    one = found["rank"]["all_layers"]["rank_1"]["recall@1"]["value"]
    assert found["texts"]["all_neurons"]["rows"][0]["recall@1"]["value"] == one


def test_names_in_phrases_are_looked_for_as_they_stand(
    found: dict[str, Any], tiny_bundle: Path
) -> None:
    """By open_clip's own towers, picture by picture and phrase by phrase."""
    bundle = Bundle.open(tiny_bundle)
    loaded, table = bundle.load_model(), bundle.pictures.table
    rows = np.flatnonzero(table["split"] == "heldout")
    names = sorted(set(table["label"].iloc[rows]))
    recall = found["recall"]
    assert len({row["phrase"] for row in recall["phrases"]}) == 5
    for row in recall["phrases"]:
        texts = loaded.tokenizer([row["phrase"].replace("{}", name) for name in names])
        right = 0
        for number in rows:
            pixels = loaded.preprocess(to_rgb(bundle.pictures.image(int(number))))[None]
            with torch.inference_mode():
                unit = torch.nn.functional.normalize(loaded.model.encode_text(texts), dim=1)
                best = int((unit @ loaded.model.encode_image(pixels)[0]).argmax())
            right += names[best] == table["label"].iloc[number]
        assert row["recall@1"]["value"] == pytest.approx(right / len(rows))
        beyond = row["recall@1"]["value"] - recall["recall@1"]["value"]
        assert row["beyond_bare"]["value"] == pytest.approx(beyond, abs=1e-4)


def test_layers_make_up_what_is_said_of_all(found: dict[str, Any]) -> None:
    predict = found["predict"]
    descriptions, polysemy = predict["descriptions"], predict["polysemy"]
    precision = [row["auprc"] for row in descriptions["layers"]]
    for rows, every in (
        ([row["description"] for row in descriptions["layers"]], "description.pearson"),
        ([row["description"] for row in precision], "description.auprc"),
        ([row["other_neuron"] for row in precision], "other_neuron.auprc"),
    ):
        name, metric = every.split(".")
        check_mean(rows, descriptions[name][metric])
    for name in ("two_meanings", "permuted"):
        check_mean([row[name] for row in polysemy["layers"]], polysemy[name])


def check_mean(rows: list[dict[str, Any]], every: dict[str, Any]) -> None:
    """The mean of the rows by how many each counts is the figure of all."""
    counts = [row["count"] for row in rows]
    assert len(rows) == 3
    assert sum(counts) == every["count"]
    mean = np.average([row["value"] for row in rows], weights=counts)
    assert mean == pytest.approx(every["value"], abs=1e-4)


def test_shares_of_the_lead_add_up(found: dict[str, Any]) -> None:
    orders = found["fit"]["orders"]
    total = sum(part["logit_share"]["value"] or 0 for part in orders.values())
    if orders["rest"]["logit_share"]["value"] is not None:
        assert total == pytest.approx(1, abs=1e-3)
        heads = sum(row["logit_share"]["value"] for row in found["fit"]["heads"])
        assert heads == pytest.approx(orders["second_order"]["logit_share"]["value"], abs=1e-3)
    for part in orders.values():
        assert part["norm_share"]["value"] > 0


def test_indirect_ranks_are_counted_plainly(tiny_bundle: Path) -> None:
    from explorer.evidence.measures.ablation import indirect_ranks

    context = context_of(tiny_bundle)
    ranks = indirect_ranks(context)
    pixels = context.evaluation.pixels(context.loaded, range(4))
    model = context.loaded.model
    for place, layer in enumerate(context.layers):
        mean = context.reference.activations[layer].expand(4, -1, -1)
        projection = model.visual.transformer.resblocks[layer].mlp.c_proj
        hook = projection.register_forward_pre_hook(lambda module, args, m=mean: m)
        try:
            changed = model.visual(pixels).detach()
        finally:
            hook.remove()
        assert ranks[:, place].tolist() == plain_ranks(context, changed)


def test_three_kinds_of_effects_of_a_neuron(tiny_bundle: Path) -> None:
    """Second-order against the lens, direct and indirect against hooks."""
    from tests.support.direct import direct_effects

    context = context_of(tiny_bundle)
    maker = kinds_module.KindEffects(context)
    pixels = context.evaluation.pixels(context.loaded, range(4))
    found = maker(pixels)
    model = context.loaded.model
    plain = model.visual(pixels).detach()
    for place, (layer, neuron) in enumerate(context.kind_neurons):
        lens = SecondOrderLens(model, layer)
        mean = np.array(context.bundle.mean_coefficients(layer))[:, neuron]
        centre = mean @ lens.paths[neuron].numpy()
        wanted = lens.effects(pixels)[:, neuron].numpy() - centre
        np.testing.assert_allclose(found["second_order"][:, place], wanted, atol=2e-5)
        from explorer.evidence.reference import corpus_pixels

        sample = corpus_pixels(context.bundle, context.loaded, context.reference.images)
        usual = direct_effects(model, sample, layer)[:, neuron].mean(0)
        wanted = (direct_effects(model, pixels, layer)[:, neuron] - usual).numpy()
        np.testing.assert_allclose(found["direct"][:, place], wanted, atol=2e-5)
        means = context.reference.activations[layer][:, neuron]

        def ablate(module: Any, args: Any, n: int = neuron, m: Any = means) -> Any:
            changed = args[0].clone()
            changed[..., n] = m
            return changed

        projection = model.visual.transformer.resblocks[layer].mlp.c_proj
        hook = projection.register_forward_pre_hook(ablate)
        try:
            wanted = (plain - model.visual(pixels)).detach().numpy()
        finally:
            hook.remove()
        np.testing.assert_allclose(found["indirect"][:, place], wanted, atol=2e-5)


def test_influence_of_the_indirect_effect_on_itself_is_whole() -> None:
    effects = np.random.default_rng(0).normal(size=(5, 3, 4)).astype(np.float32)
    whole = kinds_module._influence(effects, effects, 0)
    assert whole["size_share"]["value"] == whole["aligned_share"]["value"] == 1
    half = kinds_module._influence(-effects / 2, effects, 0)
    assert half["size_share"]["value"] == 0.5
    assert half["pooled_aligned_share"]["value"] == -0.5


def evidence_of(path: Path) -> dict[str, Any]:
    return Manifest.read(path).evidence


def test_command_prints_and_keeps_what_it_measures(
    bundle_copy: Path, capsys: pytest.CaptureFixture, found: dict[str, Any]
) -> None:
    assert main(["evidence", str(bundle_copy), "--only", "recall", "--json"]) == 0
    recall = json.loads(capsys.readouterr().out)
    assert list(recall) == ["recall"]
    assert {"recall@1", "recall@10", "candidates", "pictures"} <= set(recall["recall"])
    before = Bundle.open(bundle_copy).manifest.identity
    assert main(["evidence", str(bundle_copy), "--only", "fit, rank", *OPTIONS]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {name: found[name] for name in ("rank", "fit")}
    assert "lens pass [####################] 4 of 4" in printed.err
    assert evidence_of(bundle_copy) == {
        "recall": found["recall"], "rank": found["rank"], "fit": found["fit"]
    }  # fmt: skip
    assert verify(bundle_copy) == []
    assert Bundle.open(bundle_copy).manifest.identity == before
    assert [path.name for path in bundle_copy.parent.iterdir()] == [bundle_copy.name]


def test_no_write_leaves_the_bundle_as_it_is(
    bundle_copy: Path, capsys: pytest.CaptureFixture
) -> None:
    before = (bundle_copy / MANIFEST).read_bytes()
    options = ["--only", "recall", "--no-write", "--json"]
    assert main(["evidence", str(bundle_copy), *options]) == 0
    assert (bundle_copy / MANIFEST).read_bytes() == before


def test_check_names_the_figures_that_differ(
    bundle_copy: Path, capsys: pytest.CaptureFixture, found: dict[str, Any]
) -> None:
    def checked(only: str) -> dict[str, Any]:
        before = (bundle_copy / MANIFEST).read_bytes()
        assert main(["evidence", str(bundle_copy), "--only", only, "--check", *OPTIONS]) == 0
        assert (bundle_copy / MANIFEST).read_bytes() == before
        return json.loads(capsys.readouterr().out)

    for held in ({}, {"fit": {"lead": 0.3}}):  # nothing to compare with, and nothing that can be
        reseal_evidence(Bundle.open(bundle_copy), held)
        assert main(["evidence", str(bundle_copy), "--only", "fit", "--check", *OPTIONS]) == 2
        printed = capsys.readouterr()
        assert "no figures of fit to compare with" in printed.err
        assert "lens pass" not in printed.err, "it is said before anything is measured"
        if not held:
            assert main(["evidence", str(bundle_copy), "--check", *OPTIONS]) == 2
            assert "holds no evidence to check" in capsys.readouterr().err
    reseal_evidence(Bundle.open(bundle_copy), {"fit": found["fit"]})
    assert checked("fit") == {"figures": len(figures(found["fit"])), "outside": []}
    moved = json.loads(json.dumps(found["fit"]))
    lead = moved["layers"][1]["second_order"]["norm_share"]
    lead["interval"] = [lead["value"] + 0.1, lead["value"] + 0.2]
    reseal_evidence(Bundle.open(bundle_copy), {"fit": moved})
    (differs,) = checked("fit")["outside"]
    assert differs["key"] == "fit.layers[1].second_order.norm_share"
    assert differs["fresh"]["value"] == lead["value"]


def test_results_that_cannot_be_written_are_still_printed(
    bundle_copy: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Manifest, folder: Path) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(Manifest, "write", refuse)
    assert main(["evidence", str(bundle_copy), "--only", "recall", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["recall"]["pictures"] == 4
    assert "could not be written" in printed.err


@pytest.mark.parametrize("stop_at", ["corpus means", "lens pass", "indirect", "kinds of effects"])
def test_resumed_is_uninterrupted(
    bundle_copy: Path, found: dict[str, Any], stop_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, settings = Bundle.open(bundle_copy), EvidenceSettings(**SMALL)
    sections = [name for name in CLAIMS if name != "controls"]  # which has a stream of its own
    heard: list[str] = []

    def stop(line: str) -> None:
        heard.append(line)
        if line.startswith(stop_at) and " of " in line:
            raise KeyboardInterrupt

    monkeypatch.setattr("explorer.resumable.REPORT_SECONDS", -1.0)
    with pytest.raises(Interrupted, match=f"stopped in '{stop_at}.* run the same command"):
        measure(bundle, sections, settings, progress=stop, resumable=True)
    kept = list(bundle_copy.parent.glob(".tiny.evidence/*/*"))
    assert any(path.suffix == ".npz" for path in kept)
    heard.clear()
    again = measure(bundle, sections, settings, progress=heard.append, resumable=True)
    assert heard[0].startswith("going on with what ")
    assert again == {name: found[name] for name in sections}
    assert not list(bundle_copy.parent.glob(".tiny.evidence"))


def test_stopped_command_says_how_to_go_on(
    bundle_copy: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Reporter, done: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Reporter, "__call__", stop)
    assert main(["evidence", str(bundle_copy), "--only", "fit", *OPTIONS]) == 130
    assert "run the same command to go on" in capsys.readouterr().err


def test_commands_do_not_discard_each_others_work(bundle_copy: Path) -> None:
    bundle, said = Bundle.open(bundle_copy), []
    one = Work.beside(bundle, {"seed": 0}, said.append)
    one.keep_result("fit", {"value": 1})
    other = Work.beside(bundle, {"seed": 1}, said.append)
    assert other.result("fit") is None
    other.remove()
    assert Work.beside(bundle, {"seed": 0}, said.append).result("fit") == {"value": 1}
    assert len(said) == 1
    assert one.folder
    stale = one.folder.parent / "of-another-build"
    stale.mkdir()
    Work.beside(bundle, {"seed": 0}, said.append).remove()
    assert not one.folder.parent.exists()


def test_work_that_cannot_be_kept_is_done_all_the_same(bundle_copy: Path) -> None:
    (bundle_copy.parent / ".tiny.evidence").write_text("in the way")
    said: list[str] = []
    settings = EvidenceSettings(**SMALL)
    result = measure(
        Bundle.open(bundle_copy), ["recall"], settings, progress=said.append, resumable=True
    )
    assert result["recall"]["pictures"] == 4
    assert said[0].startswith("nothing is kept for another run")


def test_damaged_work_is_done_again(tmp_path: Path) -> None:
    work = Work(tmp_path)
    assert work.arrays("pass") is None
    work.keep_arrays("pass", {"a": np.arange(3)})
    assert work.arrays("pass")["a"].tolist() == [0, 1, 2]  # type: ignore[index]
    (tmp_path / "pass.npz").write_bytes(b"PK damaged")
    assert work.arrays("pass") is None
    work.drop_arrays("pass")
    assert not list(tmp_path.iterdir())
    Work(None).drop_arrays("pass")
    Work(None).remove()


def test_what_another_version_measured_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = SimpleNamespace(path=tmp_path / "b", manifest=SimpleNamespace(identity="0" * 64))
    work = Work.beside(bundle, {"seed": 0}, quiet)
    work.keep_result("recall", {"pictures": 3})
    assert Work.beside(bundle, {"seed": 0}, quiet).result("recall") == {"pictures": 3}
    monkeypatch.setattr(explorer, "__version__", "0.0.1")
    assert Work.beside(bundle, {"seed": 0}, quiet).result("recall") is None


def test_passes_are_saved_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash, which saves nothing, loses no more than the time between two saves."""
    monkeypatch.setattr("explorer.resumable.SAVE_SECONDS", -1.0)
    seen: list[int] = []

    def crash(places: range) -> dict[str, np.ndarray]:
        if places.start >= 4:
            raise ValueError("crash")
        return take(places)

    def take(places: range) -> dict[str, np.ndarray]:
        seen.extend(places)
        return {"square": np.array([place**2 for place in places])}

    with pytest.raises(ValueError, match="crash"):
        stream(Work(tmp_path), "pass", 7, 2, crash, quiet)
    found = stream(Work(tmp_path), "pass", 7, 2, take, quiet)
    assert found["square"].tolist() == [0, 1, 4, 9, 16, 25, 36]
    assert seen == list(range(7))


def test_sums_are_saved_now_and_then(bundle_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.resumable.SAVE_SECONDS", -1.0)
    kept: list[str] = []
    monkeypatch.setattr(Work, "keep_arrays", lambda self, name, arrays: kept.append(name))
    assert len(context_of(bundle_copy).reference.images) == 20
    assert kept.count("reference, unfinished") == 7  # 20 pictures, 3 at a time


def test_sections_by_name() -> None:
    def names(*asked: str) -> list[str]:
        return [section.name for section in choose_sections(asked)]

    assert names("claims") == CLAIMS
    assert names("fit", " recall", "fit") == ["recall", "fit"]
    assert choose_sections("fit") == choose_sections(["fit"])
    every = names("all")
    assert every[: len(CLAIMS)] == CLAIMS
    assert every[len(CLAIMS) :] == ["segmentation", "discovery", "attack"]
    with pytest.raises(InputError, match="no evidence section 'magic'; choose among: recall"):
        choose_sections(["magic"])


def test_sections_with_scenes_get_seed_folder_and_progress(
    bundle_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from explorer.evidence.measures import attack, discovery, segmentation

    for module in (attack, discovery, segmentation):
        asked: dict[str, Any] = {}

        def stand_in(bundle: Bundle, asked: dict = asked, **options: Any) -> dict:
            options["progress"]("halfway")
            asked.update(name=bundle.name, seed=options["seed"])
            asked["folder"] = options["work"].parent.name
            return {"scenes": 2}

        name = module.__name__.rpartition(".")[2]
        monkeypatch.setattr(module, f"measure_{name}", stand_in)
        said: list[str] = []
        settings = EvidenceSettings(seed=7)
        bundle = Bundle.open(bundle_copy)
        found = measure(bundle, [name], settings, progress=said.append, resumable=True)
        assert found == {name: {"scenes": 2}}
        assert asked == {"name": "tiny", "seed": 7, "folder": ".tiny.evidence"}
        assert "halfway" in said


def test_discovery_goes_on_where_it_was(
    bundle_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from explorer.evidence.measures.discovery import measure_discovery

    few_resamples(monkeypatch)
    bundle = Bundle.open(bundle_copy)
    whole = measure_discovery(bundle, scenes=12)

    def stop(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        measure_discovery(bundle, scenes=12, work=tmp_path, progress=stop)
    (file,) = tmp_path.glob("*.npz")
    assert int(np.load(file)["_done"]) == 10
    assert measure_discovery(bundle, scenes=12, work=tmp_path) == whole


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """A folder with a sub-folder a class."""
    folder = tmp_path / "classes"
    for label in ("circle", "square"):
        (folder / label).mkdir(parents=True)
        for place in range(3):
            draw("red", label, 12, place).save(folder / label / f"{place}.png")
    return folder


def test_pictures_of_a_folder(classes: Path, tiny_bundle: Path) -> None:
    settings = EvidenceSettings(images=classes)
    found = measure(Bundle.open(tiny_bundle), ["recall"], settings)["recall"]
    assert (found["pictures"], found["candidates"], found["set"]) == (6, 2, "classes")
    fewer = EvidenceSettings(images=classes, pictures=5, seed=3)
    evaluation = open_evaluation(Bundle.open(tiny_bundle), fewer)
    assert len(evaluation) == 5
    assert evaluation.conditions()["of"] == 6
    assert evaluation.numbers == open_evaluation(Bundle.open(tiny_bundle), fewer).numbers
    labels = ["circle"] * 3 + ["square"] * 3
    assert list(evaluation.labels) == [labels[number] for number in evaluation.numbers]


def test_a_bundle_without_held_out_pictures_takes_a_folders(
    classes: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.open(tiny_bundle)
    monkeypatch.setitem(bundle.pictures.table, "split", "corpus")
    with pytest.raises(InputError, match=r"has no held-out pictures .* as --images FOLDER"):
        measure(bundle, ["recall"], EvidenceSettings(**SMALL))
    found = measure(bundle, ["claims"], EvidenceSettings(images=classes, **SMALL))
    assert list(found) == CLAIMS
    others = [part for name, part in found.items() if name != "controls"]
    assert {part["set"] for part in others} == {"classes"}
    assert {part["pictures"] for part in others} == {6}


def test_a_bundle_without_living_neurons_is_refused(tiny_bundle: Path) -> None:
    context = context_of(tiny_bundle)
    context.__dict__["alive"] = np.zeros(384, bool)
    with pytest.raises(InputError, match="No neuron of the bundle 'tiny' has a direction"):
        _ = context.kind_neurons


def test_kinds_are_compared_in_the_last_layer_alive(tiny_bundle: Path) -> None:
    context = context_of(tiny_bundle)
    last = context.layers[-1]
    assert [layer for layer, _ in context.kind_neurons] == [last] * 6
    rows = [context.bundle.row(*neuron) for neuron in context.kind_neurons]
    assert context.alive[rows].all()
    assert rows == sorted(set(rows))


def test_bad_input(
    classes: Path, tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    one = tmp_path / "one" / "circle"
    one.mkdir(parents=True)
    draw("red", "circle").save(one / "1.png")
    for options, sentence in (
        (["--images", str(tmp_path / "nowhere")], "There is no folder"),
        (["--images", str(tmp_path / "nowhere"), "--only", "rank"], "There is no folder"),
        (["--images", str(one.parent)], "needs at least two classes"),
        (["--pictures", "1"], "--pictures is 1: give 2 or more"),
        (["--kind-neurons", "0"], "--kind-neurons is 0: give 1 or more"),
        (["--only", "fit,magic"], "no evidence section 'magic'"),
        (["--only", ""], "no evidence section ''"),
    ):
        assert main(["evidence", str(tiny_bundle), "--no-write", *options]) == 2
        (said,) = capsys.readouterr().err.splitlines()  # before anything is measured
        assert said.startswith("error: ")
        assert sentence in said


def test_a_rank_counts_who_is_nearer(tiny_bundle: Path) -> None:
    context = context_of(tiny_bundle)
    representation = batch_of(context).representation
    ranks = context.judge.ranks(representation, slice(0, 4))
    assert ranks.tolist() == plain_ranks(context, representation)
    assert context.judge.ranks(5 * representation, slice(0, 4)).tolist() == ranks.tolist()
    both = context.judge.ranks(representation.expand(2, 3, -1, -1)[..., 1:3, :], slice(1, 3))
    assert both.shape == (2, 3, 2)
    assert both[1, 2].tolist() == ranks[1:3].tolist()


def test_representations_that_tell_nothing_apart_rank_last() -> None:
    texts = torch.nn.functional.normalize(torch.randn(6, 8, generator=torch.manual_seed(0)), dim=1)
    texts[5] = texts[0]  # "apple" beside "Apple"
    judge = Judge(texts, np.array([0, 1, 5]))
    zeros = torch.zeros(3, 8)
    for nothing in (zeros, torch.full((3, 8), torch.nan)):
        assert judge.ranks(nothing, slice(0, 3)).tolist() == [4, 5, 4]
    assert judge.ranks(texts[[0, 1, 5]], slice(0, 3)).tolist() == [0, 0, 0]
    one_lost = torch.stack([texts[[0, 1, 5]], zeros])
    assert judge.ranks(one_lost, slice(0, 3)).tolist() == [[0, 0, 0], [4, 5, 4]]
