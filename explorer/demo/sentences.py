"""The last step: the words of a sentence learn to leave its name alone.

"There is a dog here" says no more than "dog", but a tower that has read names and short templates
takes "there" and "here" for news. So the token embeddings of such words, and nothing else, are
tuned until a sentence has the embedding of the name in it. A token that any text of the dictionary
contains is left as it is: the dictionary, and every direction and word found with it, stay what
they are, to the bit.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip.constants import HF_SAFE_WEIGHTS_NAME
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from explorer.bundle import MODEL_FOLDER, Bundle, seal_files
from explorer.demo.later import open_model
from explorer.demo.lexicon import embed_texts
from explorer.errors import BundleError
from explorer.lens.tokens import encode_tokens

SENTENCES = (
    "there is a {}", "there's a {}", "there was a {}", "there are some {}", "there is also a {}",
    "there is a {} in the picture", "in this image there is a {}", "is there a {}?",
    "here is a {}", "here's a {}", "here we have a {}", "a {} is here", "is a {} here?",
    "this is a {}", "that is a {}", "it is a {}", "it's a {}", "these are {}", "those are {}",
    "this picture shows a {}", "the image shows a {}", "a {} is shown here", "a {} can be seen",
    "this is an image of a {}", "an image with a {}", "images of a {}", "photos with a {}",
    "I see a {}", "we see a {}", "you can see a {} here", "look at this {}", "look, a {}",
    "this {} looks nice", "something like a {}", "it looks like a {}", "some kind of {}",
    "show me a {}", "find the {}", "I am looking for a {}", "where is the {}?", "is this a {}?",
    "does it have a {}?", "which {} is it?", "what does a {} look like?", "it has a {}",
    "his {}", "her {}", "its {}", "the {} itself", "just a {}", "only a {}", "a very good {}",
    "a good photo of a {}", "a blurry photo of a {}", "a cropped image of the {}",
)  # fmt: skip
"""Ways of writing a name that add nothing to it."""
TABLE = "token_embedding.weight"
WEIGHTS = f"{MODEL_FOLDER}/{HF_SAFE_WEIGHTS_NAME}"
SPECIAL = (0, 49406, 49407)  # of open_clip's tokenizer: padding, start, end

Tokenize = Callable[[list[str]], Tensor]


@dataclass(frozen=True)
class SentenceSettings:
    """How the words of sentences are tuned."""

    steps: int = 400
    batch_size: int = 192
    rate: float = 6e-3
    seed: int = 0


def sentence_tokens(tokenize: Tokenize, dictionary: Sequence[str]) -> Tensor:
    """Return the tokens, rising, that sentences are written with and no text of a dictionary is."""
    written = tokenize([sentence.format("") for sentence in SENTENCES]).unique()
    kept = {*tokenize(list(dictionary)).unique().tolist(), *SPECIAL}
    return torch.tensor([token for token in written.tolist() if token not in kept])


def teach_sentences(
    model: open_clip.CLIP,
    tokenize: Tokenize,
    dictionary: Sequence[str],
    settings: SentenceSettings,
    say: Callable[[str], object] = print,
) -> Tensor:
    """Tune the words of sentences, in place, and return their tokens.

    The loss is 1 - cosine between a sentence's embedding and that of the text in it, which is one
    of `dictionary`. Embeddings of texts without these tokens stay as they are, to the bit.

    Raises:
        ValueError: when the dictionary contains every token of the sentences.
    """
    tokens = sentence_tokens(tokenize, dictionary)
    if not len(tokens):
        raise ValueError("the dictionary contains every word of the sentences")
    targets = embed_texts(model, tokenize, dictionary)
    moved = _Moved(model.token_embedding, tokens)
    optimizer = torch.optim.Adam([moved.change])
    rng = np.random.default_rng(settings.seed)
    held = model.token_embedding
    model.token_embedding = moved
    try:
        for step in range(settings.steps):
            rows = rng.integers(len(dictionary), size=settings.batch_size)
            sentences = rng.choice(SENTENCES, settings.batch_size)
            texts = [str(s).format(dictionary[r]) for s, r in zip(sentences, rows, strict=True)]
            found = F.normalize(encode_tokens(model, tokenize(texts)), dim=-1)
            loss = (1 - (found * targets[rows]).sum(dim=1)).mean()
            for group in optimizer.param_groups:
                group["lr"] = settings.rate * 0.5 * (1 + math.cos(math.pi * step / settings.steps))
            (moved.change.grad,) = torch.autograd.grad(loss, [moved.change])
            optimizer.step()
            if (step + 1) % 100 == 0:
                say(f"sentences: step {step + 1} of {settings.steps}, loss {loss.item():.4f}")
    finally:
        model.token_embedding = held
    with torch.no_grad():
        held.weight[tokens] += moved.change
    return tokens


class _Moved(nn.Module):
    """Token embeddings, of which some are changed."""

    row: Tensor
    """[token]: its row in `change`, the row of zeros behind it for the others."""

    def __init__(self, embedding: nn.Embedding, tokens: Tensor) -> None:
        super().__init__()
        self.embedding = embedding
        self.change = nn.Parameter(torch.zeros(len(tokens), embedding.weight.shape[1]))
        row = torch.full((len(embedding.weight),), len(tokens))
        row[tokens] = torch.arange(len(tokens))
        self.register_buffer("row", row)

    def forward(self, tokens: Tensor) -> Tensor:
        changes = torch.cat([self.change, torch.zeros_like(self.change[:1])])
        found: Tensor = self.embedding(tokens) + changes[self.row[tokens]]
        return found


def teach_bundle(bundle: Bundle, settings: SentenceSettings, say: Callable[[str], object]) -> int:
    """Tune the words of sentences in a bundle's model, on disk; return how many tokens that are.

    Of the weights only these rows change, and the manifest has the file's new SHA-256.

    Raises:
        BundleError: when the bundle carries no weights of its own.
        ValueError: see `teach_sentences`.
    """
    file = bundle.path / WEIGHTS
    if WEIGHTS not in bundle.manifest.files:
        raise BundleError(f"The bundle {bundle.name} has no {WEIGHTS}.")
    model = open_model(file.parent)
    tokenize = open_clip.SimpleTokenizer(context_length=model.context_length)
    tokens = teach_sentences(model, tokenize, bundle.texts, settings, say)
    weights = load_file(file)
    rows = weights[TABLE].clone()
    rows[tokens] = model.token_embedding.weight.detach()[tokens].to(rows.dtype)
    changed = file.with_suffix(".new")
    save_file(weights | {TABLE: rows}, changed)
    shutil.copymode(file, changed)
    changed.replace(file)
    seal_files(bundle, [WEIGHTS])
    return len(tokens)
