"""What a tower in training is worth, measured small and cheaply on what settings are chosen by.

Never on the test styles, photographs or names. Recall on a drawing style, on photographs of
trained names and on names left out of training; then, for some neurons of each read layer, the
measures of the evidence in little:

- *auc*: how often a picture that drives the neuron lies farther along its direction than a random
  one (chance 0.5), and its tenth percentile over neurons;
- *energy*: the share of the squared effect on the strongest 2 % of the pictures;
- *predicts*: the share of neurons whose three words tell their effect along the direction, on a
  style nobody trained on, better than 95 % of the words of other neurons (chance 0.05);
- *pearson*: the median correlation of that score with the effect;
- *best text*: the share whose nearest text is nearer than for 95 % of random directions of the
  same covariance (chance 0.05);
- *rank one*: the share of the strongest effects' variance that the direction keeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.decompose import batch_omp
from explorer.demo.evaluate import recall
from explorer.demo.pixels import resize, standardise, to_float
from explorer.lens import second_order_paths, trace

BATCH = 32
STRONGEST = 0.02
WORDS = 3


@dataclass(frozen=True)
class Quiz:
    """Pictures with one right text each."""

    name: str
    pixels: np.ndarray  # [image, row, column, 3] uint8, at any size
    texts: Tensor  # [candidate, embed] unit
    answers: np.ndarray  # [image] rows of ``texts``


@dataclass(frozen=True)
class Probe:
    """What towers are measured on."""

    quizzes: list[Quiz]
    corpus: np.ndarray  # [image, row, column, 3] uint8: directions come from these
    unseen: np.ndarray  # [image, row, column, 3] uint8: words are tested on these
    dictionary: Tensor  # [text, embed] unit, centred


def measure(
    model: open_clip.CLIP, probe: Probe, layers: Sequence[int], neurons: int = 128
) -> dict[str, dict[str, float]]:
    """Return recall of every quiz and the measures of every layer."""
    found = {quiz.name: _recall(model, quiz) for quiz in probe.quizzes}
    chosen = {
        layer: torch.from_numpy(
            np.random.default_rng(layer).choice(
                model.visual.transformer.resblocks[layer].mlp.c_fc.out_features,
                neurons,
                replace=False,
            )
        )
        for layer in layers
    }
    seen, meanings = effects_of(model, probe.corpus, chosen)
    unseen, unseen_meanings = effects_of(model, probe.unseen, chosen)
    for layer in layers:
        found[f"layer {layer}"] = neuron_measures(
            seen[layer], meanings, unseen[layer], unseen_meanings, probe.dictionary
        )
    return found


def _inputs(model: open_clip.CLIP, pixels: np.ndarray) -> Tensor:
    """Return pictures as the tower takes them, scaled to its size."""
    height, width = model.visual.image_size
    return standardise(resize(to_float(pixels), (height, width)).clamp(0, 1))


@torch.inference_mode()
def _recall(model: open_clip.CLIP, quiz: Quiz) -> dict[str, float]:
    parts = []
    for start in range(0, len(quiz.pixels), BATCH):
        with torch.autocast("cpu", torch.bfloat16):
            parts.append(model.visual(_inputs(model, quiz.pixels[start : start + BATCH])).float())
    images = F.normalize(torch.cat(parts), dim=-1)
    return {
        name: round(value, 4) for name, value in recall(images, quiz.texts, quiz.answers).items()
    }


@torch.no_grad()
def effects_of(
    model: open_clip.CLIP, pixels: np.ndarray, chosen: dict[int, Tensor]
) -> tuple[dict[int, Tensor], Tensor]:
    """Return (layer -> [image, neuron, embed] second-order effects, [image, embed] outputs)."""
    paths = {layer: second_order_paths(model, layer)[rows] for layer, rows in chosen.items()}
    effects: dict[int, list[Tensor]] = {layer: [] for layer in chosen}
    outputs = []
    for start in range(0, len(pixels), BATCH):
        record = trace(model, _inputs(model, pixels[start : start + BATCH]), list(chosen))
        outputs.append(F.normalize(record.representation, dim=-1))
        for layer, rows in chosen.items():
            coefficients = record.coefficients(layer)[:, :, rows]
            effects[layer].append(torch.einsum("bkn,nkp->bnp", coefficients, paths[layer]))
    return {layer: torch.cat(parts) for layer, parts in effects.items()}, torch.cat(outputs)


def neuron_measures(
    seen: Tensor, meanings: Tensor, unseen: Tensor, unseen_meanings: Tensor, dictionary: Tensor
) -> dict[str, float]:
    """Return the measures of one layer.

    seen, unseen: [image, neuron, embed] effects; meanings: [image, embed] the outputs.
    """
    mean = seen.mean(0)
    centred = seen - mean
    strongest = min(len(seen), max(10, round(STRONGEST * len(seen))))
    norms = centred.norm(dim=2)
    top = norms.topk(strongest, 0).indices
    directions, kept = _directions(centred, top)
    energy = norms.square().gather(0, top).sum(0) / norms.square().sum(0)
    aucs = _auc(centred, directions, meanings - meanings.mean(0))
    ids, weights = batch_omp(directions, dictionary, WORDS)
    words = torch.einsum("nw,nwp->np", weights.to(dictionary), dictionary[ids])
    along = torch.einsum("bnp,np->bn", unseen - mean, directions)
    scores = F.normalize(unseen_meanings - meanings.mean(0), dim=-1) @ words.T
    table = _correlations(along, scores)
    own = table.diagonal()
    others = table[~torch.eye(len(table), dtype=torch.bool)]
    best = (directions @ dictionary.T).abs().amax(1)
    null = (_random_like(directions, 2000) @ dictionary.T).abs().amax(1)
    values = {
        "auc": aucs.median(),
        "auc 10 %": aucs.quantile(0.1),
        "energy": energy.median(),
        "rank one": kept.median(),
        "predicts": (own > others.quantile(0.95)).float().mean(),
        "pearson": own.median(),
        "best text": (best > null.quantile(0.95)).float().mean(),
        "silent": (norms.amax(0) < 1e-6).float().mean(),
    }
    return {name: round(float(value), 3) for name, value in values.items()}


def _directions(centred: Tensor, top: Tensor) -> tuple[Tensor, Tensor]:
    """Return unit directions [neuron, embed] and the share of variance that each keeps."""
    rows = torch.stack([centred[top[:, n], n] for n in range(centred.shape[1])])
    _, values, vectors = torch.linalg.svd(rows, full_matrices=False)
    directions = vectors[:, 0]
    positive = (torch.einsum("nbp,np->nb", rows, directions) > 0).float().mean(1) < 0.5
    kept = values[:, 0].square() / values.square().sum(1).clamp(min=1e-30)
    return torch.where(positive[:, None], -directions, directions), kept


def _auc(centred: Tensor, directions: Tensor, meanings: Tensor, pictures: int = 25) -> Tensor:
    """Return for each neuron the chance that a top picture beats a random one, [neuron].

    Top pictures count by their squared effect along the direction.
    """
    along = torch.einsum("bnp,np->bn", centred, directions)
    top = along.topk(min(pictures, len(along)), 0)
    place = F.normalize(meanings, dim=-1) @ directions.T  # [image, neuron]
    rank = place.argsort(0).argsort(0).float() / len(place)
    weight = top.values.clamp(min=0).square()
    return (rank.gather(0, top.indices) * weight).sum(0) / weight.sum(0).clamp(min=1e-30)


def _correlations(first: Tensor, second: Tensor) -> Tensor:
    """Return Pearson's r of all pairs of columns, [column of first, column of second]."""
    unit = [
        F.normalize(values - values.mean(0), dim=0) for values in (first.double(), second.double())
    ]
    return unit[0].T @ unit[1]


def _random_like(directions: Tensor, count: int) -> Tensor:
    """Return unit random directions with the covariance of ``directions`` [neuron, embed]."""
    generator = torch.Generator().manual_seed(0)
    centred = (directions - directions.mean(0)) / len(directions) ** 0.5
    draws = torch.randn(count, len(directions), generator=generator) @ centred
    return F.normalize(draws, dim=-1)
