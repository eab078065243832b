"""The Adversarial page through AppTest: each parameter set, absent and wrong; batches, reasons."""

from __future__ import annotations

import gc
import shutil
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from explorer.attack.batch import Attempt
from explorer.attack.concepts import USUAL, AttackSettings
from explorer.attack.pairs import Pair
from explorer.attack.scenes import AttackScene, Recipe
from explorer.build import build
from explorer.bundle import Bundle, reseal_evidence
from explorer.bundle.pictures import PictureStore
from explorer.errors import InputError
from explorer.ui.address.attack_query import AttackQuery, read_attack, read_scene, write_scene
from explorer.ui.adversarial import pairs, pictures, prompts
from explorer.ui.data import attacks, loaders
from explorer.ui.data.classes import classes_of
from explorer.ui.data.loaders import View
from tests.conftest import COLOURS, picture_rows, settings_for
from tests.support.app import html_of, run_page
from tests.support.hostile import HOSTILE, Read

ROOT = Path(__file__).parents[2]
PAIR = {"source": "blue square", "target": "red circle"}
NEAR = 0.999  # cosine
SCENE = AttackScene(
    Image.new("RGB", (8, 8)),
    Recipe("tiny", *PAIR.values(), 0, 0, 8, 0, (0, 0, 4, 4), 0.25, "plain", ()),
    np.zeros((8, 8), bool),
)


@pytest.fixture(autouse=True)
def _any_nearness(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random text tower finds all texts near; words alone decide here."""
    from explorer.attack import batch as attack_batch

    own = attack_batch.Attack.of.__func__
    loose = AttackSettings(near=NEAR)
    monkeypatch.setattr(
        attack_batch.Attack,
        "of",
        classmethod(lambda cls, bundle, one, other: own(cls, bundle, one, other, loose)),
    )


def run(page: str = "adversarial", through_app: bool = False, /, **params: str) -> AppTest:
    return run_page(page, through_app, **params)


CASES = [
    ({}, "Adversarial pictures", None),
    ({"bundle": "tiny"}, "Adversarial pictures", None),
    ({"bundle": "nowhere"}, "Adversarial pictures", "There is no bundle “nowhere”"),
    (PAIR, "What suggests “red circle”", None),
    ({**PAIR, "seed": "3"}, "What suggests “red circle”", None),
    ({**PAIR, "seed": "x"}, "What suggests “red circle”", "“x” is not a value for “seed”"),
    ({**PAIR, "count": "2"}, "What suggests “red circle”", None),
    ({**PAIR, "count": "999"}, "What suggests", "“999” is not a value for “count”"),
    ({**PAIR, "why": "1"}, "neurons that push it most", None),
    ({**PAIR, "why": "900"}, "What suggests", "“900” is not a value for “why”"),
    ({**PAIR, "source": "zebra"}, "What suggests", "No picture is called “zebra”: those that the"),
    ({**PAIR, "target": "zebra"}, "“zebra”", None),
    ({**PAIR, "target": "blue square"}, "Adversarial", "Source and target are the same class"),
]


@pytest.mark.parametrize("through_app", [False, True], ids=["alone", "app"])
@pytest.mark.parametrize(("params", "shown", "problem"), CASES)
def test_page_shows_what_its_address_says(
    params: dict[str, str], shown: str, problem: str | None, through_app: bool
) -> None:
    html = html_of(run("adversarial", through_app, **params))
    assert shown in html
    assert "auditing and defence" in html
    if problem:
        assert problem in html


def test_first_pictures_stand_there_before_a_batch_is_made() -> None:
    html = html_of(run(**PAIR, seed="2"))
    assert html.count('class="shot"') == 4
    assert "attack=blue+square%3Ered+circle%3E2%3E3" in html


def test_what_was_measured_is_said(view: View) -> None:
    assert pairs.measured(view) == ""
    assert measured_with(view, {"second-order": (0.51, 0.2), "none": (0.0, 0.0)}) == ""


def test_the_rate_stands_beside_what_was_tried_as_often(view: View) -> None:
    """A bug: the fair levels were left out, and that the rate was of the two classes alone."""
    rates = {
        "second-order": (0.51, 0.2),
        "indirect, tried": (0.51, 0.2),
        "nearest, tried": (0.49, 0.3),
        "random, tried": (0.23, 0.1),
        "random": (0.07, 0.04),
        "none": (0.02, 0.01),
    }
    said = Read(measured_with(view, rates)).text
    assert "On 50 pairs of this bundle's classes, 40 pictures each: in 51 %" in said
    assert "the second class scored above the first (20 %: above all 1,032)" in said
    assert "indirect effects name 51 % (20 %), texts nearest to the target 49 % (30 %)" in said
    assert "random things 23 % (10 %)" in said
    assert "With nothing added: 2 %" in said
    assert "7 %" not in said, "what was not tried as often is no level"


def measured_with(view: View, rates: dict[str, tuple[float, float]]) -> str:
    """The page's sentence on success between two classes and among all, by method."""
    methods = {
        name: {"two_way": {"mean": two}, "all_classes": {"mean": every}}
        for name, (two, every) in rates.items()
    }
    figures = {"pairs": 50, "scenes": 40, "classes": 1032, "methods": methods}
    told = view.bundle.manifest.model_copy(update={"evidence": {"attack": figures}})
    return str(pairs.measured(View("tiny", replace(view.bundle, manifest=told))))


def test_only_what_is_nearest_of_all_classes_is_taken_for_it() -> None:
    """A bug: whatever beat the one other class was “taken for” the target."""
    attempts = [
        Attempt(SCENE, 0.2, 0.3, (0.3, 0.2), rival=0.25),
        Attempt(SCENE, 0.2, 0.3, (0.3, 0.2), rival=0.35),
        Attempt(SCENE, 0.3, 0.2, (0.3, 0.2), rival=0.1),
    ]
    html = pictures.tally(attempts)
    assert [row in html for row in ("2 of 3", "1 of 3", "0 of 3")] == [True] * 3
    verdicts = [pictures.verdict(AttackQuery(**PAIR), attempt) for attempt in attempts]
    assert verdicts == [
        "taken for red circle",
        "nearer to red circle than to blue square",
        "nearer to blue square than to red circle",
    ]


def test_measured_pairs_are_proposed_first_and_need_no_drawing(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = tmp_path / "bundles" / "told"
    shutil.copytree(tiny_bundle, copied)
    pairs = [
        {"source": "red circle", "target": "blue square", "second-order": 0.25},
        {**PAIR, "second-order": 0.75},
    ]
    figures = {"pairs": 2, "scenes": 100, "methods": {}, "by_pair": pairs}
    reseal_evidence(Bundle.open(copied), {"attack": figures})
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(copied.parent))
    drawn = []
    monkeypatch.setattr(
        attacks, "propose_pairs", lambda *a: drawn.append(a) or [Pair(*PAIR.values())]
    )
    app = run()
    html = html_of(app)
    assert "What suggests “red circle”" in html, "the best measured pair is opened"
    assert "2 pairs that were measured" in html
    assert html.index("blue square → red circle") < html.index("red circle → blue square")
    assert "75" in html[html.index("blue square → red circle") :][:80]
    assert not drawn
    app.button(key="_attack_draw").click().run()
    assert drawn
    assert "Pairs drawn by the seed" in html_of(app)


def told(view: View, **evidence: object) -> View:
    """The same bundle after its evidence was measured."""
    manifest = view.bundle.manifest.model_copy(update={"evidence": evidence})
    return View(view.key, replace(view.bundle, manifest=manifest))


def test_concepts_are_those_of_evidence_measured_meanwhile(view: View) -> None:
    query = AttackQuery(**PAIR)
    found = attacks.find_attack(view, query).ranking.concepts
    assert len(found) == USUAL.concepts, "the evidence tells of as many"
    backwards = [concept.text for concept in reversed(found)]
    row = {**PAIR, "concepts": backwards, "gains": [3.0, 2.0, 1.0]}
    figures = {"near": NEAR, "neurons": USUAL.neurons, "by_pair": [row]}
    measured = told(view, attack=figures)
    assert [c.text for c in attacks.find_attack(measured, query).ranking.concepts] == backwards
    made = attacks.first_attempts(view, query)
    assert attacks.first_attempts(view, query) is made
    assert attacks.first_attempts(measured, query) is not made


def test_other_evidence_leaves_what_was_made_of_a_pair(view: View) -> None:
    other = told(view, **view.bundle.manifest.evidence, rank={"of": "something else"})
    assert attacks.basis(other) == attacks.basis(view)
    assert attacks.basis(told(view, attack={"pairs": 1})) != attacks.basis(view)


def test_pairs_are_drawn_only_where_the_address_names_none(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(
        attacks, "propose_pairs", lambda *a: drawn.append(a) or [Pair(*PAIR.values())]
    )
    run(**PAIR)
    assert not drawn
    assert "Pairs drawn by the seed" in html_of(run(seed="77"))
    assert len(drawn) == 1


def test_a_batch_is_made_tick_by_tick_and_can_be_stopped() -> None:
    app = run(**PAIR, count="3")
    app.button(key="_attack_start").click().run()
    assert "1 of 3 pictures" in app.get("progress")[0].proto.text
    app.run()
    assert html_of(app).count('class="shot"') == 2
    app.button(key="_attack_stop").click().run()
    html = html_of(app)
    assert html.count('class="shot"') == 2
    assert "of 2" in html
    assert "Under the lens" in html
    assert app.get("download_button")
    app.button(key="_attack_start").click().run()
    for _ in range(4):
        app.run()
    assert not app.exception
    assert html_of(app).count('class="shot"') == 3
    assert "attack=blue+square%3Ered+circle%3E0%3E2" in html_of(app)


def test_widgets_write_the_address() -> None:
    app = run(**PAIR)
    app.number_input(key="_seed").set_value(7).run()
    app.selectbox(key="_target").set_value("green circle").run()
    assert not app.exception
    assert app.query_params["seed"] == "7"
    assert app.query_params["target"] == "green circle"


def test_visitors_cannot_name_the_model_that_pictures_are_generated_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bug: a field took any path or name, which the server then opened or downloaded."""
    monkeypatch.delenv(prompts.MODEL_VARIABLE, raising=False)
    app = run(**PAIR)
    assert "a photo of a blue square" in app.code[0].value
    assert prompts.HOW_TO_GENERATE in html_of(app)
    assert "_generate" not in {button.key for button in app.button}
    opened = []

    def refuse(model: str) -> None:
        opened.append(model)
        raise InputError("It is not there.")

    monkeypatch.setenv(prompts.MODEL_VARIABLE, "models/ours")
    monkeypatch.setattr(prompts, "load_pipeline", refuse)
    monkeypatch.setattr(prompts, "find_spec", lambda name: None)
    assert prompts.HOW_TO_GENERATE in html_of(run(**PAIR))
    monkeypatch.setattr(prompts, "find_spec", lambda name: name)
    app = run(**PAIR)
    assert "a photo of a blue square" in app.code[0].value
    assert prompts.HOW_TO_GENERATE not in html_of(app)
    assert not opened
    app.button(key="_generate").click().run()
    assert not app.exception
    assert opened == ["models/ours"]
    assert "It is not there." in html_of(app)


def test_a_picture_of_a_batch_opens_on_the_image_page(view: View) -> None:
    name = write_scene(AttackQuery(**PAIR, seed=5), 2)
    html = html_of(run("image", attack=name))
    assert "Picture 2 of blue square as red circle" in html
    html = html_of(run("image", attack="nothing"))
    assert "names no adversarial picture" in html
    for wrong in (
        "a>>0>0",
        f"{'a' * 81}>b>0>0",
        "blue square>red circle>x>0",
        "blue square>blue square>0>0",
    ):
        assert read_scene(wrong) is None
    assert read_scene("blue square>red circle>0>99") is None


@pytest.mark.parametrize("name", ["a > b", "50 % wool", "%3E", "größer", HOSTILE])
def test_any_class_name_comes_back_from_the_address_of_its_scene(name: str) -> None:
    """A bug: a ">" was taken out of names, so that a class of this name was not found."""
    query = AttackQuery(name, "red circle", 3)
    assert read_scene(write_scene(query, 5)) == (query, 5)
    assert read_attack(query.params()) == (query, [])


def test_every_state_has_an_address(view: View) -> None:
    usual = AttackQuery(**PAIR)
    for change in ({"seed": 4}, {"count": 5}, {"why": 3}):
        query = replace(usual, **change)
        assert read_attack(query.params()) == (query, [])
    assert AttackQuery().params() == {}
    assert {"red circle", "blue square"} <= set(classes_of(view))


def hostile(colour: str, shape: str) -> str:
    """A class whose name would be markup; the words of any two names differ as before."""
    if (colour, shape) == ("blue", "square"):
        return HOSTILE.replace("x", colour).replace("quoted", shape)
    return f"""<{colour} "{shape}"> & '{colour}'"""


def hostile_rows() -> Iterator[tuple[dict[str, str], bytes]]:
    for facts, data in picture_rows():
        colour, shape = facts["label"].split()
        yield facts | {"label": hostile(colour, shape)}, data


def test_class_names_are_texts(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    PictureStore.write(tmp_path / "store", hostile_rows())
    settings = settings_for(
        tmp_path / "bundles" / "odd", tiny_model, tmp_path / "store", layers="1,2"
    )
    build(settings, progress=lambda line: None)
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tmp_path / "bundles"))
    source, target = hostile("blue", "square"), hostile("red", "circle")
    pairs = {"by_pair": [{"source": source, "target": target, "second-order": 0.25}]}
    figures = {"pairs": 1, "scenes": 10, "methods": {}} | pairs
    reseal_evidence(Bundle.open(tmp_path / "bundles" / "odd"), {"attack": figures})
    html = html_of(run(source=source, target=target, why="0"))
    read = Read(html)
    assert "What suggests" in read.text and "neurons that push it most" in read.text
    assert {"script", *COLOURS}.isdisjoint(read.elements)
    assert source not in html and target not in html
    assert read.text.count(source) > 5 and read.text.count(target) > 5
    assert "& '" not in html and '<red "' not in html


def test_a_kept_attack_does_not_keep_its_bundle(tiny_bundle: Path) -> None:
    view = View("dropped", Bundle.open(tiny_bundle))
    dropped = weakref.ref(view.bundle)
    attacks.find_attack(view, AttackQuery(**PAIR))
    del view
    gc.collect()
    assert dropped() is None
