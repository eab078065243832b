"""Names move to what the tower makes of their pictures.

The image tower is trained towards texts that stay where they are, and does not get all the way:
what it makes of the pictures of a name lies to one side of the name's embedding. Here the pictures
stay, and the names come towards them, as far as it helps to tell each from the others
(`fit_names`). Then the text tower learns the new places (`teach_names`): a name, and a phrase with
the name in it, move alike; every other text stays where it was.

How far they may move was chosen by `CHOOSING_STYLE`, which moves none of them. Names of photographs
stay: fitted to a dozen photographs each, they tell others apart no better than before.
"""

from __future__ import annotations

import copy
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip.constants import HF_SAFE_WEIGHTS_NAME
from safetensors.torch import load_file, save_file
from torch import Tensor

from explorer.bundle import MODEL_FOLDER, Bundle
from explorer.demo.captions import TEMPLATES
from explorer.demo.later import open_model
from explorer.demo.lexicon import CHOOSING_STYLE, embed_texts
from explorer.demo.phrases import NUMBERS, plural
from explorer.demo.sentences import SENTENCES, Tokenize
from explorer.lens.tokens import encode_tokens

Say = Callable[[str], object]


@dataclass(frozen=True)
class NameSettings:
    """How names are moved."""

    fit_steps: int = 150
    fit_batch: int = 1024
    fit_rate: float = 5e-3
    temperature: float = 0.05
    smoothing: float = 0.05
    pull: float = 5.0  # weight of 1 - cosine to where a name was
    steps: int = 250
    batch_size: int = 256
    phrased: float = 0.35  # share of a batch that says a name in a phrase
    others: float = 0.35  # share that are other texts of the dictionary
    rate: float = 3e-4
    seed: int = 0


@dataclass(frozen=True)
class Sights:
    """Pictures as the image tower sees them, and what they show."""

    embeddings: Tensor
    """[image, embed], unit length."""
    answers: Tensor
    """[image] int64: places among the names."""

    def only(self, chosen: Tensor) -> Sights:
        """Return the chosen pictures; `chosen` is [image] bool."""
        return Sights(self.embeddings[chosen], self.answers[chosen])

    def recall(self, names: Tensor) -> float:
        """Return how often the nearest of the names, [name, embed], is the right one."""
        nearest = (self.embeddings @ names.T).argmax(dim=1)
        return float((nearest == self.answers).float().mean())


def drawings_in(bundle: Bundle) -> tuple[list[str], Sights, Sights]:
    """Return the names that a bundle's drawings have, and the drawings that have one.

    First those that names are fitted to, then those of `CHOOSING_STYLE`.
    """
    table = bundle.pictures.table[: bundle.pictures.corpus_size]
    rows = np.flatnonzero(table["concept"] != "")
    names, answers = np.unique(table["concept"].iloc[rows].astype(str), return_inverse=True)
    embeddings = torch.from_numpy(np.asarray(bundle.image_embeddings)[rows].astype(np.float32))
    every = Sights(F.normalize(embeddings, dim=-1), torch.from_numpy(answers))
    aside = torch.from_numpy(
        (table["source"].iloc[rows] == CHOOSING_STYLE).to_numpy(bool, copy=True)
    )
    return names.tolist(), every.only(~aside), every.only(aside)


def fit_names(start: Tensor, seen: Sights, settings: NameSettings) -> Tensor:
    """Return unit embeddings of the names, [name, embed], that tell their pictures apart.

    `start` [name, embed] is where the names are. The loss is the softmax cross-entropy of pictures
    over all names, plus `pull` times 1 - cosine to `start`.
    """
    change = torch.zeros_like(start, requires_grad=True)
    optimizer = torch.optim.Adam([change])
    generator = torch.Generator().manual_seed(settings.seed)
    for step in range(settings.fit_steps):
        rows = torch.randint(len(seen.answers), (settings.fit_batch,), generator=generator)
        moved = F.normalize(start + change, dim=-1)
        scores = seen.embeddings[rows] @ moved.T / settings.temperature
        answers = seen.answers[rows]
        loss = F.cross_entropy(scores, answers, label_smoothing=settings.smoothing)
        loss = loss + settings.pull * (1 - (moved * start).sum(dim=1)).mean()
        for group in optimizer.param_groups:
            group["lr"] = settings.fit_rate * (1 - step / settings.fit_steps)
        (change.grad,) = torch.autograd.grad(loss, [change])
        optimizer.step()
    return F.normalize(start + change.detach(), dim=-1)


def teach_names(
    model: open_clip.CLIP,
    tokenize: Tokenize,
    names: Sequence[str],
    moved: Tensor,
    dictionary: Sequence[str],
    settings: NameSettings,
    say: Say = print,
) -> None:
    """Teach the text tower, in place, where names have moved to.

    `moved` [name, embed] are unit embeddings; `dictionary` the texts that stay. The loss is
    1 - cosine to what the tower said before, moved by as much as the name in the text has moved.
    Token embeddings of words in neither these texts nor phrases stay as they are, to the bit.
    """
    before = copy.deepcopy(model).eval()
    shift = moved - embed_texts(before, tokenize, names)
    others = sorted(set(dictionary) - set(names))
    texts = [parameter for name, parameter in model.named_parameters() if _of_text(name)]
    optimizer = torch.optim.Adam(texts, betas=(0.9, 0.98))
    for step in range(settings.steps):
        rng = np.random.default_rng([settings.seed, step])
        said, rows = _draw(rng, names, others, settings)
        tokens = tokenize(said)
        named = torch.from_numpy(rows)
        with torch.no_grad():
            old = F.normalize(encode_tokens(before, tokens), dim=-1)
            target = F.normalize(old + shift[named.clamp(min=0)] * (named >= 0)[:, None], dim=-1)
        found = F.normalize(encode_tokens(model, tokens), dim=-1)
        loss = (1 - (found * target).sum(dim=1)).mean()
        fade = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * min(1.0, (step + 1) / 20) * fade
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 50 == 0:
            say(f"names: step {step + 1} of {settings.steps}, loss {loss.item():.4f}")


def _of_text(name: str) -> bool:
    return not name.startswith(("visual.", "logit"))


def _draw(
    rng: np.random.Generator,
    names: Sequence[str],
    others: Sequence[str],
    settings: NameSettings,
) -> tuple[list[str], np.ndarray]:
    """Return texts and the row of the name that each of them says, -1 for none."""
    rows = rng.integers(len(names), size=settings.batch_size)
    drawn = rng.random(settings.batch_size)
    said = []
    for slot, row in enumerate(rows):
        if others and drawn[slot] < settings.others:
            rows[slot] = -1
            said.append(others[int(rng.integers(len(others)))])
        elif drawn[slot] < settings.others + settings.phrased:
            said.append(_phrase(rng, names[row]))
        else:
            said.append(names[row])
    return said, rows


def _phrase(rng: np.random.Generator, name: str) -> str:
    if rng.random() < 0.25:
        return str(rng.choice(NUMBERS)).format(plural(name))
    return str(rng.choice([*TEMPLATES, *SENTENCES])).format(name)


def move_names(
    bundle: Bundle, out: Path, settings: NameSettings, say: Say = print
) -> dict[str, float]:
    """Write a bundle's model to `out` with the names moved; the bundle stays as it is.

    Returns recall@1 of the drawings that the settings are chosen by, before and after.
    """
    folder = bundle.path / MODEL_FOLDER
    model = open_model(folder)
    tokenize = open_clip.SimpleTokenizer(context_length=model.context_length)
    names, seen, kept = drawings_in(bundle)
    start = embed_texts(model, tokenize, names)
    moved = fit_names(start, seen, settings)
    teach_names(model, tokenize, names, moved, bundle.texts, settings, say)
    _write(model, folder, out)
    taught = embed_texts(model, tokenize, names)
    return {"before": kept.recall(start), "after": kept.recall(taught)}


def _write(model: open_clip.CLIP, folder: Path, out: Path) -> None:
    """Copy a model's folder with the text tower of `model`, in the numbers the file has."""
    shutil.copytree(folder, out, dirs_exist_ok=True)
    weights = load_file(folder / HF_SAFE_WEIGHTS_NAME)
    taught = model.state_dict()
    changed = {
        name: taught[name].detach().to(old.dtype) if _of_text(name) else old
        for name, old in weights.items()
    }
    save_file(changed, out / HF_SAFE_WEIGHTS_NAME)
    shutil.copymode(folder / HF_SAFE_WEIGHTS_NAME, out / HF_SAFE_WEIGHTS_NAME)
