"""The Image page's address: which picture, which texts, how their maps are shown."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from explorer.errors import InputError
from explorer.findings.model import check_id
from explorer.picture.methods import METHODS
from explorer.picture.settings import EXACT, FINE, REFINED, SECOND_ORDER, SegmentSettings
from explorer.ui.address.address import whole
from explorer.ui.address.attack_query import read_scene
from explorer.ui.data.loaders import View

T = TypeVar("T")
SCENES = 10
MOST_SHOWN = 8  # texts
TEXT_LENGTH = 60
VIEWS = {
    "maps": "Heatmaps",
    "mask": "Mask",
    "methods": "Compare methods",
    "difference": "Difference",
}
SCALES = {"own": "each text's own peak", "shared": "one peak for all"}
FIT_NAMES = {"pad": "whole", "tile": "in tiles"}
FORMS = {"refined": "refined", "fine": "refined and fine", "exact": "exact"}
_FORMS = {"refined": REFINED, "fine": FINE, "exact": EXACT}
OPACITY, LEAST_OPACITY = 80, 10


@dataclass(frozen=True)
class ImageQuery:
    """What the Image page shows; empty or None means the usual."""

    image: int | None = None
    scene: int | None = None
    attack: str = ""
    """A scene of the Adversarial page; see `attack_query.write_scene`."""
    finding: str = ""
    """Id of a finding that holds a picture of its own."""
    own: bool = False
    """Whether it is a picture of the visitor's, which only their session holds."""
    texts: tuple[str, ...] = ()
    method: str = SECOND_ORDER
    view: str = "maps"
    scale: str = "own"
    fit: str = "pad"
    form: str = "refined"
    opacity: int = OPACITY
    threshold: int | None = None
    """Per cent of a text's peak; None takes the calibrated one."""
    neuron: tuple[int, int] | None = None
    """(layer, neuron) whose own map is shown."""
    first: int = 0
    """Place of the text that methods are compared on, or that another is taken from."""
    second: int = 1
    """Place of the text that is taken from the first."""

    @property
    def addressed(self) -> bool:
        """Return whether the address itself names a picture."""
        return self.image is not None or self.scene is not None or bool(self.attack or self.finding)

    def params(self) -> dict[str, str]:
        """Return the query as address parameters, defaults left out."""
        usual = ImageQuery()
        plain = (
            "image",
            "scene",
            "attack",
            "finding",
            "method",
            "view",
            "scale",
            "fit",
            "form",
            "opacity",
            "threshold",
            "first",
            "second",
        )
        found = {
            key: str(getattr(self, key))
            for key in plain
            if getattr(self, key) != getattr(usual, key)
        }
        if self.own:
            found["own"] = "1"
        if self.texts:
            found["texts"] = ",".join(self.texts)
        if self.neuron:
            found["neuron"] = f"{self.neuron[0]}.{self.neuron[1]}"
        return found

    def elsewhere(self, own: bool = False) -> ImageQuery:
        """Return the same way of showing, for another picture and its own texts."""
        usual = ImageQuery(own=own)
        parts = ("image", "scene", "attack", "finding", "own", "texts", "neuron", "first", "second")
        return replace(self, **{name: getattr(usual, name) for name in parts})


def split_texts(text: str) -> tuple[str, ...]:
    """Return the texts between commas, each once, at most `MOST_SHOWN`."""
    parts = (" ".join(part.split())[:TEXT_LENGTH] for part in text.split(","))
    return tuple(dict.fromkeys(part for part in parts if part))[:MOST_SHOWN]


def read_query(params: Mapping[str, str], view: View) -> tuple[ImageQuery, list[str]]:
    """Read the Image page's address; what can't be read is left out and named."""
    problems: list[str] = []
    choices: dict[str, Collection[str]] = {
        "method": METHODS,
        "view": VIEWS,
        "scale": SCALES,
        "fit": FIT_NAMES,
        "form": FORMS,
    }
    chosen: dict[str, str] = {}
    for key, known in choices.items():
        asked = params.get(key, "")
        if asked in known:
            chosen[key] = asked
        elif asked:
            problems.append(f"“{asked}” is not a value for “{key}”. Possible: {', '.join(known)}.")
    query = ImageQuery(
        image=_number(params, "image", len(view.bundle.pictures), problems),
        scene=_number(params, "scene", SCENES, problems),
        attack=_attack(params.get("attack", ""), view, problems),
        finding=_finding(params.get("finding", ""), problems),
        texts=split_texts(params.get("texts", "")),
        own=params.get("own", "") == "1",
        opacity=_percent(params, "opacity", LEAST_OPACITY, OPACITY, problems),
        threshold=_percent(params, "threshold", 0, None, problems),
        neuron=_neuron(params.get("neuron", ""), view, problems),
        first=_place(params, "first", problems),
        second=_place(params, "second", problems),
        **chosen,
    )
    if query.addressed:
        query = replace(query, own=False)
    if query.image is not None:
        query = replace(query, scene=None, attack="", finding="")
    elif query.scene is not None:
        query = replace(query, attack="", finding="")
    elif query.attack:
        query = replace(query, finding="")
    return query, problems


def _attack(text: str, view: View, problems: list[str]) -> str:
    if text and read_scene(text) is None:
        problems.append(
            f"“{text}” names no adversarial picture of this bundle: open one from that page."
        )
        return ""
    return text


def _finding(text: str, problems: list[str]) -> str:
    try:
        return check_id(text) if text else ""
    except InputError as error:
        problems.append(str(error))
        return ""


def _number(params: Mapping[str, str], key: str, count: int, problems: list[str]) -> int | None:
    asked = params.get(key, "")
    value = whole(asked)
    if not asked or (value is not None and value < count):
        return value if asked else None
    problems.append(f"There is no {key} “{asked}”: write a number from 0 to {count - 1:,}.")
    return None


def _percent(
    params: Mapping[str, str], key: str, least: int, usual: T, problems: list[str]
) -> int | T:
    asked = params.get(key, "")
    value = whole(asked)
    if asked and value is not None and least <= value <= 100:
        return value
    if asked:
        problems.append(f"“{asked}” is not a valid {key}: write a percentage from {least} to 100.")
    return usual


def _place(params: Mapping[str, str], key: str, problems: list[str]) -> int:
    """Return a text's place; one past the texts that are shown is the last one to the page."""
    asked = params.get(key, "")
    value = whole(asked)
    if asked and value is not None and value < MOST_SHOWN:
        return value
    if asked:
        problems.append(
            f"“{asked}” is not a place for “{key}”: write a number from 0 to {MOST_SHOWN - 1}."
        )
    return int(getattr(ImageQuery(), key))


def _neuron(text: str, view: View, problems: list[str]) -> tuple[int, int] | None:
    if not text:
        return None
    layer, _, neuron = text.partition(".")
    place = (whole(layer), whole(neuron))
    try:
        if place[0] is None or place[1] is None:
            raise InputError(f"“{text}” is not a neuron: write layer.neuron, for example 8.120.")
        view.bundle.row(place[0], place[1])
    except InputError as error:
        problems.append(str(error))
        return None
    return place[0], place[1]


def settings_of(query: ImageQuery) -> SegmentSettings:
    """Return how the address asks for maps."""
    threshold = None if query.threshold is None else query.threshold / 100
    return SegmentSettings(query.method, _FORMS[query.form], query.fit, threshold)
