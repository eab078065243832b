"""Ways of saying a name, and the lessons the text tower draws from them."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from torch.nn import functional

from explorer.demo.captions import label_texts
from explorer.demo.phrases import (
    Phrase,
    Phrasebook,
    Shares,
    plural,
    read_emoji,
    spellings,
    with_article,
)
from explorer.demo.text import Lessons, TextSettings, _draw_lesson

NEVER = dict.fromkeys(("template", "number", "spelling", "emoji", "colour", "manner", "pair"), 0.0)


def book(rule, **more):
    return Phrasebook(shares=Shares(**(NEVER | {rule: 1.0})), **more)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dog", "dogs"),
        ("fire engine", "fire engines"),
        ("box", "boxes"),
        ("church", "churches"),
        ("baby", "babies"),
        ("monkey", "monkeys"),
        ("snowman", "snowmans"),
        ("man", "men"),
        ("slice of pizza", "slices of pizza"),
        ("scissors", "scissors"),
        ("sheep", "sheep"),
    ],
)
def test_plurals(name, expected):
    assert plural(name) == expected


def test_articles():
    assert with_article("owl") == "an owl"
    assert with_article("dog") == "a dog"


def test_spellings_go_both_ways_and_leave_other_words_alone():
    assert spellings("gray wolf") == ["grey wolf"]
    assert spellings("grey wolf") == ["gray wolf"]
    assert spellings("delivery truck") == ["delivery lorry"]
    assert spellings("trucks") == []
    assert spellings("soccer ball") == ["football"]
    assert spellings("american football") == []
    assert spellings("sweet potato") == []
    assert spellings("tape") == []


def test_each_rule_says_what_it_adds():
    rng = np.random.default_rng(0)
    assert book("pair").say(rng, "dog", "owl") == Phrase("a dog and an owl", ("owl",))
    assert book("emoji", emoji={"dog": "🐶"}).say(rng, "dog", "owl") == Phrase("🐶")
    assert book("emoji").say(rng, "dog", "owl") == Phrase("dog")
    assert book("spelling").say(rng, "truck", "owl") == Phrase("lorry")
    assert book("number").say(rng, "dog", "owl").text.endswith("dogs")
    red = {book("colour", looks=("red", "sketch")).say(rng, "dog", "owl") for _ in range(30)}
    assert red == {Phrase("a red dog", ("red",)), Phrase("red dog", ("red",))}
    drawn = {book("manner", looks=("red", "sketch")).say(rng, "dog", "owl") for _ in range(30)}
    assert drawn == {Phrase("a sketch of a dog", ("sketch",)), Phrase("sketch dog", ("sketch",))}
    assert book("colour").say(rng, "dog", "owl") == Phrase("dog")
    assert "dog" in book("template").say(rng, "dog", "owl").text


def test_rules_are_used_as_often_as_their_shares_say():
    rng = np.random.default_rng(0)
    shares = Shares(**(NEVER | {"pair": 0.25}))
    said = Counter(Phrasebook(shares=shares).say(rng, "dog", "owl").text for _ in range(2000))
    assert said["a dog and an owl"] / 2000 == pytest.approx(0.25, abs=0.03)
    assert set(said) == {"dog", "a dog and an owl"}


def test_emoji_are_read_by_name(tmp_path):
    rows = [{"label": "dog face", "emoji": "🐶"}, {"label": "grinning face", "emoji": "😀"}]
    (tmp_path / "data.json").write_text(json.dumps(rows), "utf-8")
    assert read_emoji(tmp_path, ["dog face", "cat"]) == {"dog face": "🐶"}


def test_every_way_of_writing_a_class_names_its_label():
    texts = ["tabby", "tabby cat", "Tabby, tabby cat", "dog", "tree"]
    found = label_texts(texts, ["dog", "tabby"], ["Tabby, tabby cat"])
    assert found.tolist() == [1, 1, 1, 0, -1]


def test_a_pairs_target_lies_between_its_two_names():
    texts = ["dog", "owl", "red"]
    targets = functional.normalize(torch.randn(3, 8, generator=torch.Generator().manual_seed(0)))
    lessons = Lessons(texts, targets, np.array([0, 1, -1]), targets[:2], book("pair"))
    settings = TextSettings(label_share=1.0)
    said, aims, labels = _draw_lesson(np.random.default_rng(1), lessons, settings, 12)
    assert (labels == -1).all()
    for text, aim in zip(said, aims, strict=True):
        names = [word for word in text.split() if word in texts]
        expected = functional.normalize(sum(targets[texts.index(n)] for n in names), dim=0)
        assert torch.allclose(aim, expected, atol=1e-6)
