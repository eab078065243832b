"""The text tower on the tokens in use.

A causal tower reads a text's embedding off its end, which sees nothing that follows. Most texts of
a dictionary are a word of one or two tokens in a context of 77: the rest need not be computed.
"""

from __future__ import annotations

import copy
from typing import Any

import open_clip
from torch import Tensor


def encode_tokens(model: Any, tokens: Tensor) -> Tensor:
    """Return `model.encode_text(tokens)`, [text, embed], computed up to the longest text's end.

    `tokens` is [text, context] int64. Towers that are not causal, or read their output elsewhere,
    compute the whole context. Gradients flow as in `model.encode_text`.
    """
    length = _used(model, tokens)
    if length is None:
        found: Tensor = model.encode_text(tokens)
        return found
    short = copy.copy(model)
    positions = model.positional_embedding[:length]  # no leaf, so that training reaches the whole
    short._parameters = {**model._parameters, "positional_embedding": positions}
    short._buffers = {**model._buffers, "attn_mask": model.attn_mask[:length, :length]}
    found = short.encode_text(tokens[:, :length])
    return found


def _used(model: Any, tokens: Tensor) -> int | None:
    """Return the number of tokens up to the last end; None where all of them count."""
    if type(model) is not open_clip.CLIP or model.attn_mask is None or not len(tokens):
        return None
    if model.text_pool_type == "argmax":
        ends = tokens.argmax(dim=1)
    elif model.text_pool_type == "eos" and model.text_eos_id is not None:
        ends = (tokens == model.text_eos_id).int().argmax(dim=1)
    else:
        return None
    return int(ends.max()) + 1
