"""Does the model tell "a red apple" from "a green apple", and from "a red car"?

Cut-out pictures of the evaluation set are painted in one colour each (their lightness is kept) and
looked for as "a COLOUR NAME". The colour is told where the own colour's phrase is nearer than the
same name with every other colour; the object, where the own name's phrase is nearer than every
other name with the same colour.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageOps

from explorer.evidence.context import Context
from explorer.evidence.figures import figure
from explorer.lens.models import encode_images, encode_texts

COLOURS = ("red", "orange", "yellow", "green", "blue", "purple")
PICTURES = 100
PHRASE = "a {} {}"


def painted(picture: Image.Image, colour: str) -> Image.Image:
    """Return a picture (RGBA) in shades of one colour, dark to pale; what is clear stays so."""
    hue = ImageColor.getrgb(colour)[:3]
    dark, pale = tuple(v // 3 for v in hue), tuple(255 - (255 - v) // 3 for v in hue)
    shades = ImageOps.colorize(picture.convert("L"), black=dark, mid=hue, white=pale)
    shades.putalpha(picture.getchannel("A"))
    return shades


def measure_colours(context: Context) -> dict[str, Any] | None:
    """Return how often colour and object are told on painted pictures; None without cut-outs."""
    evaluation, seed = context.evaluation, context.settings.seed
    rng = np.random.default_rng([seed, 29])
    cut_outs = {}
    for place in rng.permutation(len(evaluation)):
        picture = evaluation.source.picture(evaluation.numbers[place]).convert("RGBA")
        if picture.getchannel("A").getextrema()[0] == 0:
            cut_outs[int(place)] = picture
        if len(cut_outs) == PICTURES:
            break
    names = sorted({evaluation.labels[place] for place in cut_outs})
    if len(names) < 2:
        return None
    texts = encode_texts(context.loaded, [PHRASE.format(c, n) for n in names for c in COLOURS])
    images = encode_images(
        context.loaded, (painted(p, colour) for p in cut_outs.values() for colour in COLOURS)
    )
    scores = (images @ texts.T).unflatten(1, (len(names), len(COLOURS)))
    scores = scores.unflatten(0, (len(cut_outs), len(COLOURS))).numpy()
    # [picture, painted colour, name, said colour]
    own = np.array([names.index(evaluation.labels[place]) for place in cut_outs])
    said = scores[np.arange(len(own)), :, own]  # [picture, painted colour, said colour]
    colours = said.argmax(axis=2) == np.arange(len(COLOURS))
    same = np.einsum("pcnc->pcn", scores)
    objects = same.argmax(axis=2) == own[:, None]
    return {
        "pictures": len(own),
        "names": len(names),
        "colours": len(COLOURS),
        "colour": figure(colours.mean(axis=1), seed),
        "object": figure(objects.mean(axis=1), seed),
    }
