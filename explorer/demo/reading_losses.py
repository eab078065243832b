"""Losses that make neurons worth reading. All are plain functions of a batch's tensors.

- `selectivity_loss`: a neuron shall answer to few pictures (Hoyer's measure of sparseness).
- `activity_loss`: it shall write little into the stream (an L1 penalty in the stream's own units).
- `naming_loss`: the second-order effects of a layer, summed over neurons, shall name the picture.
- `agreement_loss`: each single neuron's effect shall point to the meaning of the picture.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SILENT = 1e-2  # a neuron whose activation nowhere in the batch exceeds it has no say


class _RootMeanSquare(torch.autograd.Function):
    """[image, token, neuron] -> [image, neuron] float32, in one pass of the input's own type."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor) -> Tensor:
        # a product with ones takes a tenth of the time of a norm over the middle axis
        ones = hidden.new_ones(len(hidden), 1, hidden.shape[1])
        answer = (torch.bmm(ones, hidden * hidden)[:, 0].float() / hidden.shape[1] + 1e-8).sqrt()
        ctx.save_for_backward(hidden, answer)
        return answer

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        hidden, answer = ctx.saved_tensors
        scale = gradients[0] / (answer * hidden.shape[1])
        gradient: Tensor = hidden * scale.to(hidden.dtype)[:, None]
        return gradient


def selectivity_loss(hidden: Tensor) -> Tensor:
    """Return the mean over neurons of (sum_b a)^2 / (B sum_b a^2).

    ``a[b, n]`` is the root mean square over tokens: 1/B for a neuron that answers to one picture
    of B, 1 for one that answers to all alike. hidden: [image, token, neuron] post-activations.
    """
    answer: Tensor = _RootMeanSquare.apply(hidden)
    heard = answer.detach().amax(0) > SILENT
    answer = answer[:, heard]
    return (answer.sum(0).square() / answer.square().sum(0)).mean() / len(hidden)


def activity_loss(hidden: Tensor, write_length: Tensor, stream_length: Tensor) -> Tensor:
    """Return the mean over tokens of the summed lengths that neurons write, in stream lengths.

    hidden: [image, token, neuron]; write_length: [neuron]; stream_length: [image, token].
    """
    written = hidden @ write_length.to(hidden.dtype)
    return (written.float() / stream_length).mean()


def naming_loss(
    effects: Tensor, meanings: Tensor, label: Tensor, ignored: Tensor, temperature: float
) -> Tensor:
    """Return the cross-entropy of naming pictures by their effects [image, embed] alone.

    The effects are centred over the batch. meanings: [text, embed] centred unit text embeddings;
    label: [image] rows of ``meanings``; ignored: [image, text] bool, no negatives of the label.
    """
    logits = F.normalize(effects - effects.mean(0), dim=-1) @ meanings.T / temperature
    right = F.one_hot(label, len(meanings)).bool()
    return F.cross_entropy(logits.masked_fill(ignored & ~right, -1e4), label)


def agreement_loss(effects: Tensor, meanings: Tensor) -> Tensor:
    """Return 1 - the mean over neurons of how far their effects point to the pictures' meanings.

    For one neuron: the sum over pictures of ``|e_b|^2 cos(e_b, m_b)`` over that of ``|e_b|^2``, so
    that the pictures that drive it most decide. effects: [image, neuron, embed], centred here over
    the batch; meanings: [image, embed], centred unit embeddings of what the pictures show.
    """
    effects = effects - effects.mean(0)
    length = effects.norm(dim=-1)
    along = torch.einsum("bnp,bp->bn", effects, meanings)
    energy = length.square().sum(0)
    heard = energy.detach() > 1e-8
    share: Tensor = (length * along).sum(0)[heard] / energy[heard]
    return 1 - share.mean()
