"""Controls: what words, drivers and other claims' measures give where there is nothing to find.

The build's own tests (`explorer.describe.words`, `explorer.describe.drivers`) are repeated on a
sample of corpus pictures and neurons, first with the bundle's own tower, then with one thing made
meaningless:

- *random weights*: the tower's weights drawn anew, each tensor with its own mean and deviation;
- *cascade*: the same for its topmost blocks only, from the output down (Adebayo et al., "Sanity
  Checks for Saliency Maps", NeurIPS 2018);
- *dealt texts*: every neuron gets the texts of another neuron of its layer;
- *random directions*: directions drawn at random, with the layer's mean and covariance;
- *shuffled labels*: pictures get the labels and keywords of other pictures.

A share is that of neurons which pass at a false discovery rate of 5 %, as in a build; without
anything to find it is near 0. *Uncorrected* shares count p-values up to 5 %, of which a right test
gives at most 5 % by chance. A sample is smaller than a corpus, so fewer neurons of the bundle's own
tower pass here than in its build.

*Measures* are what other claims speak of, for the bundle's own tower and for the random one; those
of maps come from scenes (`explorer.evidence.measures.tower_maps`).
*Pursuits* are the ways to choose a direction's texts: how well the texts of one half of the
pictures predict effects on the other, of the bundle's own tower.

Axes: image, neuron, half, text, embed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explorer.build.chance import drawings
from explorer.build.polysemy import added_meanings, driving_meanings, passing_polysemy
from explorer.build.settings import PURSUITS
from explorer.decompose import SparseCode
from explorer.describe.chance import FALSE_DISCOVERIES, LONGEST, null_directions, passing
from explorer.describe.prediction import (
    layer_prediction,
    prefix_cosines,
    prefix_sums,
    split_halves,
)
from explorer.describe.pursuits import pursue
from explorer.describe.sample import draw_sample
from explorer.describe.words import judge_words
from explorer.evidence.context import Context
from explorer.evidence.figures import Figure, figure
from explorer.evidence.judging import LOOKS, NULLS, JudgedLayer, JudgedTower, Labels, TowerTests
from explorer.evidence.measures.predict import swapped
from explorer.evidence.measures.tower_maps import compared_maps
from explorer.evidence.towers import Sample, redrawn
from explorer.lens import path_names

LAYERS = 4
"""Layers that are looked at, at most, evenly spaced up to the last."""
NEURONS = 384
"""Neurons of each, at most."""
MEMORY = 320e6
"""Bytes that a tower's coefficients may take."""
CALIBRATION = 128
"""Neurons of each layer that pursuits are compared on."""
TEXTS = (1, 3, 6, LONGEST)
"""Numbers of texts that pursuits are compared with."""
P = NDArray[np.floating[Any]]


def measure(context: Context) -> dict[str, Any]:
    """Return the shares of neurons that pass, as they are and with every control."""
    sample = draw(context)
    tests = TowerTests.of(context, sample)
    model, blocks = context.loaded.model, context.loaded.layers
    own = tests.judge("the bundle's tower", model)
    cascade = [(0, own)]
    for count in stages(blocks):
        name = f"{count} of {blocks} blocks at random"
        cascade.append((count, tests.judge(name, redrawn(model, count, context.settings.seed))))
    random = cascade[-1][1]
    words = {
        "passing": own.words_p,
        "random_weights": random.words_p,
        "dealt_texts": dealt_texts(own, tests),
        "random_directions": random_directions(own, tests),
    }
    drivers = {
        "passing": own.drivers_p,
        "random_weights": random.drivers_p,
        "shuffled_labels": shuffled_labels(own, tests),
    }
    shares = Shares(sample, context.settings.seed)
    return {
        "set": "a sample of the corpus",
        "pictures": len(sample.images),
        "corpus": context.bundle.pictures.corpus_size,
        "neurons": len(shares.layers),
        "bundle_neurons": len(context.bundle.neurons),
        "null_directions": NULLS,
        "looks": LOOKS,
        "seed": context.settings.seed,
        "nominal": FALSE_DISCOVERIES,
        "words": shares.passing(words),
        "drivers": shares.passing(drivers),
        "uncorrected": {"words": shares.small(words), "drivers": shares.small(drivers)},
        "layers": [
            {
                "layer": layer,
                "words": shares.passing(words, layer),
                "drivers": shares.passing(drivers, layer),
            }
            for layer in sorted(sample.neurons)
        ],
        "cascade": [
            {"blocks": count} | shares.passing({"words": tower.words_p, "drivers": tower.drivers_p})
            for count, tower in cascade
        ],
        "measures": {**compared(own, random, tests), **_maps(context, model)},
        "pursuits": pursuits(own, tests),
    }


def _maps(context: Context, model: Any) -> dict[str, Any]:
    """Return what maps of both towers find, where there are scenes."""
    random = redrawn(model, context.loaded.layers, context.settings.seed)
    found = compared_maps(context, random)
    return {"maps": found} if found else {}


def draw(context: Context) -> Sample:
    """Return the pictures and neurons that are looked at."""
    bundle, settings = context.bundle, context.settings
    images = draw_sample(bundle.pictures.corpus_size, settings.control_pictures, settings.seed)
    halves = split_halves(drawings(bundle.pictures, images), settings.seed)
    count = min(LAYERS, len(context.layers))
    places = np.linspace(len(context.layers) - 1, 0, count).round().astype(int)
    layers = [context.layers[place] for place in sorted(places)]
    paths = sum(len(path_names(context.loaded.model, layer)) for layer in layers)
    affordable = int(MEMORY / (4 * paths * len(images)))
    neurons = min(NEURONS, max(affordable, 2))
    rng = np.random.default_rng([settings.seed, 23])
    held = context.loaded.neurons
    chosen = {
        layer: np.sort(rng.choice(held, min(neurons, held), replace=False)) for layer in layers
    }
    return Sample(images, halves, chosen)


def stages(blocks: int) -> list[int]:
    """Return how many of the topmost blocks are drawn anew: 1, 4, 16, …, all."""
    return [4**power for power in range(blocks.bit_length()) if 4**power < blocks] + [blocks]


# One thing made meaningless in the bundle's own tower; each returns p-values, [neuron].


def dealt_texts(own: JudgedTower, tests: TowerTests) -> P:
    """Give each neuron the texts of another one of its layer."""

    def of(layer: JudgedLayer) -> P:
        directions = layer.study.found.directions
        other = swapped(np.zeros(len(directions)), tests.seed)
        cosines = prefix_cosines(directions, tests.atoms, layer.told.code.ids[other])
        return judge_words(
            directions, cosines, layer.null_cosines, layer.told.sums[:, other], layer.study.across,
            tests.sample.halves, own.embeddings,
        ).p  # fmt: skip

    return over(own, of)


def random_directions(own: JudgedTower, tests: TowerTests) -> P:
    """Draw each neuron's direction at random."""

    def of(layer: JudgedLayer) -> P:
        directions = layer.study.found.directions
        drawn = null_directions(directions, len(directions), tests.seed + 1)
        if not len(drawn):
            return np.full(len(directions), np.nan)
        both = np.stack([drawn, drawn])
        effects = layer.study.effects_along(drawn)
        return tests.told(drawn, both, effects, layer.null_cosines, own.embeddings).words.p

    return over(own, of)


def shuffled_labels(own: JudgedTower, tests: TowerTests) -> P:
    """Give each picture the words of another one."""
    order = np.random.default_rng([tests.seed, 24]).permutation(len(tests.labels.words))
    labels = Labels.of([tests.labels.words[n] for n in order], tests.thumbnails, tests.seed)
    return over(own, lambda layer: labels.drivers(layer.study.along[:, tests.once]).p)


def over(tower: JudgedTower, of: Callable[[JudgedLayer], NDArray[Any]]) -> P:
    """Return a value of every neuron, layer after layer: [neuron]."""
    found: P = np.concatenate([of(layer) for layer in tower.layers]).astype(np.float64)
    return found


class Shares:
    """Shares of the sample's neurons as figures."""

    def __init__(self, sample: Sample, seed: int) -> None:
        """Keep the layer of each neuron."""
        parts = [np.full(len(held), layer) for layer, held in sorted(sample.neurons.items())]
        self.layers, self.seed = np.concatenate(parts), seed

    def passing(self, found: Mapping[str, P], layer: int | None = None) -> dict[str, Figure]:
        """Return the share of neurons that pass, all tested together, of one layer or of all."""
        inside = slice(None) if layer is None else self.layers == layer
        return {name: figure(passing(p)[inside], self.seed) for name, p in found.items()}

    def small(self, found: Mapping[str, P]) -> dict[str, Figure]:
        """Return the share of neurons with a p-value of at most 5 %; without one it isn't."""
        return {name: figure(p <= FALSE_DISCOVERIES, self.seed) for name, p in found.items()}


# What other claims speak of.


def compared(own: JudgedTower, random: JudgedTower, tests: TowerTests) -> dict[str, Any]:
    """Return other claims' measures, mean over neurons, of the own tower and the random one."""
    measures: dict[str, Callable[[JudgedTower], NDArray[Any]]] = {
        "selectivity": partial(over, of=lambda layer: layer.study.found.selectivity),
        "explained_variance": partial(
            over, of=lambda layer: layer.study.found.explained_variance[:, 0]
        ),
        "reconstruction": partial(over, of=lambda layer: layer.told.code.cosines[:, -1]),
        "prediction": partial(over, of=lambda layer: layer.told.words.prediction.correlation),
        "two_meanings": partial(two_meanings, tests=tests),
    }
    return {
        name: {
            "own": figure(value(own), tests.seed),
            "random_weights": figure(value(random), tests.seed),
        }
        for name, value in measures.items()
    }


def two_meanings(tower: JudgedTower, tests: TowerTests) -> NDArray[np.bool_]:
    """Return which neurons have two meanings that pass, on either side: [neuron]."""
    layers, table = tower.layers, tests.labels.table
    directions = np.concatenate([layer.study.found.directions for layer in layers])
    codes = [layer.told.code for layer in layers]
    code = SparseCode(
        *(
            np.concatenate([getattr(part, name) for part in codes])
            for name in ("ids", "weights", "cosines")
        )
    )
    counts = np.concatenate([layer.told.words.words for layer in layers])
    driving = [words for layer in layers for words in layer.drivers.words]
    adds = added_meanings(directions, code, tests.atoms, counts, passing(tower.words_p))
    embeddings = tower.embeddings[tests.once]
    driven = driving_meanings(driving, table, embeddings, passing(tower.drivers_p))
    found: NDArray[np.bool_] = passing_polysemy(adds, driven)["meanings"] >= 2
    return found


def pursuits(own: JudgedTower, tests: TowerTests) -> list[dict[str, Any]]:
    """Return how well each pursuit's texts predict effects on the other half of the pictures."""
    found = {
        name: np.concatenate(
            [predicted(name, layer, own.embeddings, tests) for layer in own.layers], axis=1
        )
        for name in PURSUITS
    }
    return [
        {
            "pursuit": name,
            "texts": texts,
            "prediction": figure(values[place], tests.seed),
            "beyond_omp": figure(values[place] - found["omp"][place], tests.seed),
        }
        for name, values in found.items()
        for place, texts in enumerate(TEXTS)
    ]


def predicted(
    name: str, layer: JudgedLayer, embeddings: NDArray[np.float32], tests: TowerTests
) -> NDArray[np.float32]:
    """Return the predictions of a layer's first neurons with `TEXTS` texts: [size, neuron]."""
    study, halves, atoms = layer.study, tests.sample.halves, tests.atoms
    own, across = study.half_directions[:, :CALIBRATION], study.across[:CALIBRATION]
    longest = min(LONGEST, *atoms.shape)
    ids = [pursue(name, directions, atoms, longest).ids for directions in own]
    found = []
    for texts in TEXTS:
        counts = np.full(own.shape[1], min(texts, longest))
        ways = []
        for half, directions in enumerate(own):
            sums = prefix_sums(directions, atoms, ids[half], counts)
            unseen = halves != half
            ways.append((across[:, unseen], sums @ embeddings[unseen].T))
        found.append(layer_prediction(ways).correlation)
    return np.stack(found)
