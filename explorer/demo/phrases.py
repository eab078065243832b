"""Ways of saying what a picture shows: templates, numbers, colours, pairs, spellings, emoji.

A search box gets "two red apples", "a photo of a lorry" or "🍎", not the label "red apple". A
phrase is made from a name by one of these rules; it says which other texts' meanings it adds:

| rule | "dog" becomes | means |
| --- | --- | --- |
| template | "a photo of a dog" | dog |
| number | "two dogs", "dogs" | dog |
| spelling | "lorry" for "truck", "grey" for "gray" | the same |
| emoji | "🐶" | dog |
| colour | "a red dog" | dog + red |
| manner | "a pixel art dog" | dog + pixel art |
| pair | "a dog and a cat" | dog + cat |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from explorer.demo.captions import TEMPLATES
from explorer.demo.looks import COLOURS

NUMBERS = ("two {}", "three {}", "{}", "some {}", "several {}", "a group of {}", "many {}")
IRREGULAR = {
    "man": "men", "woman": "women", "child": "children", "person": "people", "foot": "feet",
    "tooth": "teeth", "goose": "geese", "mouse": "mice", "sheep": "sheep", "fish": "fish",
    "deer": "deer", "leaf": "leaves", "knife": "knives", "wolf": "wolves", "loaf": "loaves",
    "scarf": "scarves", "ox": "oxen", "cactus": "cacti", "bison": "bison", "scissors": "scissors",
    "glasses": "glasses", "trousers": "trousers", "jeans": "jeans", "shorts": "shorts",
}  # fmt: skip
SPELLINGS = (  # of words, wherever they stand in a name
    ("aeroplane", "airplane"), ("grey", "gray"), ("colour", "color"), ("jewellery", "jewelry"),
    ("tyre", "tire"), ("pyjama", "pajama"), ("doughnut", "donut"), ("theatre", "theater"),
    ("plough", "plow"), ("moustache", "mustache"), ("yoghurt", "yogurt"),
    ("motorbike", "motorcycle"), ("lorry", "truck"), ("aubergine", "eggplant"),
    ("courgette", "zucchini"), ("spanner", "wrench"), ("prawn", "shrimp"), ("rucksack", "backpack"),
    ("railway", "railroad"), ("post box", "mailbox"), ("postbox", "mailbox"),
)  # fmt: skip
NAMES = (  # of things, as the whole name only: "american football" is no soccer ball
    ("lift", "elevator"), ("torch", "flashlight"), ("trainer", "sneaker"), ("nappy", "diaper"),
    ("tap", "faucet"), ("dustbin", "trash can"), ("rubbish bin", "wastebasket"),
    ("jumper", "sweater"), ("biscuit", "cookie"), ("crisps", "potato chips"),
    ("chips", "french fries"), ("sweet", "candy"), ("ice lolly", "popsicle"),
    ("football", "soccer ball"), ("football", "soccer"), ("pushchair", "stroller"),
    ("petrol pump", "gas pump"), ("petrol pump", "fuel pump"), ("underground", "subway"),
    ("caravan", "camper"), ("handbag", "purse"), ("mobile phone", "cell phone"),
    ("mobile phone", "cellular telephone"), ("plaster", "adhesive bandage"),
    ("maize", "ear of corn"), ("candyfloss", "cotton candy"), ("skipping rope", "jump rope"),
    ("ladybird", "lady beetle"), ("ladybird", "ladybug"), ("cinema", "movie theater"),
    ("dressing gown", "bathrobe"), ("waistcoat", "vest"), ("dustcart", "garbage truck"),
    ("fire engine", "fire truck"), ("estate car", "station wagon"), ("drawing pin", "pushpin"),
    ("clothes peg", "clothespin"), ("spectacles", "glasses"), ("zebra crossing", "crosswalk"),
    ("cot", "crib"), ("rubber", "eraser"), ("draughts", "checkers"), ("tram", "streetcar"),
)  # fmt: skip


@dataclass(frozen=True)
class Shares:
    """How often each rule is used; what is left is said plainly."""

    template: float = 0.28
    number: float = 0.12
    spelling: float = 0.08
    emoji: float = 0.08
    colour: float = 0.08
    manner: float = 0.06
    pair: float = 0.08


@dataclass(frozen=True)
class Phrase:
    """A text and the other texts whose meanings it adds to its name's."""

    text: str
    adds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Phrasebook:
    """Says names in many ways."""

    looks: Sequence[str] = ()  # manners of drawing and colours
    emoji: Mapping[str, str] = field(default_factory=dict)  # name -> character
    shares: Shares = field(default_factory=Shares)

    def say(self, rng: np.random.Generator, name: str, partner: str) -> Phrase:
        """Return a phrase for ``name``; ``partner`` is what a pair would show beside it."""
        colours = [look for look in self.looks if look in COLOURS]
        manners = [look for look in self.looks if look not in COLOURS]
        rules: dict[str, Callable[[], Phrase]] = {
            "template": lambda: Phrase(str(rng.choice(TEMPLATES)).format(name)),
            "number": lambda: Phrase(str(rng.choice(NUMBERS)).format(plural(name))),
            "spelling": lambda: Phrase(_any(rng, spellings(name), name)),
            "emoji": lambda: Phrase(self.emoji.get(name, name)),
            "colour": lambda: self._with(rng, name, colours, "{article} {look} {name}"),
            "manner": lambda: self._with(rng, name, manners, "{article} {look} of {a_name}"),
            "pair": lambda: Phrase(f"{with_article(name)} and {with_article(partner)}", (partner,)),
        }
        drawn = rng.random()
        for rule, make in rules.items():
            drawn -= getattr(self.shares, rule)
            if drawn < 0:
                return make()
        return Phrase(name)

    @staticmethod
    def _with(rng: np.random.Generator, name: str, looks: Sequence[str], pattern: str) -> Phrase:
        if not looks:
            return Phrase(name)
        look = str(rng.choice(list(looks)))
        article = with_article(look).split(" ", 1)[0]
        text = pattern.format(article=article, look=look, name=name, a_name=with_article(name))
        return Phrase(text if rng.random() < 0.7 else f"{look} {name}", (look,))


def plural(name: str) -> str:
    """Return the plural of a name: "slice of pizza" -> "slices of pizza"."""
    head, of, rest = name.partition(" of ")
    words = head.split(" ")
    last = words[-1]
    if last in IRREGULAR or last in IRREGULAR.values():
        words[-1] = IRREGULAR.get(last, last)
    elif re.search(r"(s|x|z|ch|sh)$", last):
        words[-1] = last + "es"
    elif re.search(r"[^aeiou]y$", last):
        words[-1] = last[:-1] + "ies"
    else:
        words[-1] = last + "s"
    return " ".join(words) + of + rest


def with_article(name: str) -> str:
    """Return "a dog" or "an owl"."""
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def spellings(name: str) -> list[str]:
    """Return other spellings of a name, British for American and the other way round."""
    found: list[str] = []
    for british, american in SPELLINGS:
        for old, new in ((british, american), (american, british)):
            other = re.sub(rf"\b{re.escape(old)}\b", new, name)
            if other != name:
                found.append(other)
    for british, american in NAMES:
        found += [american] if name == british else [british] if name == american else []
    return list(dict.fromkeys(found))


def read_emoji(emojibase: Path, names: Sequence[str]) -> dict[str, str]:
    """Return name -> emoji character for those of ``names`` that are concepts of emojibase."""
    from explorer.demo.pictures import slugify

    known = set(names)
    rows = json.loads((emojibase / "data.json").read_text("utf-8"))
    found = {
        slugify(row["label"].replace("’", "'")).replace("-", " "): row["emoji"] for row in rows
    }
    return {name: character for name, character in found.items() if name in known}


def _any(rng: np.random.Generator, options: Sequence[str], otherwise: str) -> str:
    return str(rng.choice(list(options))) if options else otherwise
