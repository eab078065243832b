"""Which later attention heads carry a neuron's effect to the output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explorer.ui.data.loaders import View


def head_shares(view: View, row: int) -> tuple[list[int], NDArray[np.float32]]:
    """Return the later blocks, and each of their heads' share of the strong effects.

    The shares, [block, head] float32, add up to 1; one below 0 works against the rest.
    """
    model = view.bundle.manifest.model
    layer, _ = view.place(row)
    blocks = list(range(layer + 1, int(model["blocks"])))
    heads = int(model["heads"])
    stored = np.asarray(view.bundle.path_shares[row], np.float32)
    return blocks, stored[len(stored) - len(blocks) * heads :].reshape(len(blocks), heads)
