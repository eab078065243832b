"""Heatmaps of texts by any method, refined or not.

1. A method (`explorer.picture.methods`) gives each text's value at each patch.
2. `refine` does two things. Texts are turned towards what pictures differ in
   (`LensModel.towards_pictures`). Maps are then spread over patches that look alike to the model,
   and drawn to their peak where the lens is unsure of the text (`explorer.picture.refinement`).
3. `fine` reads each picture four times, moved by half a patch: one patch sees an object's edge
   where another sees its middle, and the mean of the maps has half patches. It costs four passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from explorer.picture.maps import refinement
from explorer.picture.methods import find_method
from explorer.picture.reading import Reading
from explorer.picture.refinement import Refinement
from explorer.picture.settings import EXACT, SECOND_ORDER, MapSettings


def heatmaps(
    reading: Reading,
    texts: Sequence[str],
    method: str = SECOND_ORDER,
    settings: MapSettings = EXACT,
) -> Tensor:
    """Return where in each image each text comes from: [image, text, patch_row, patch_column].

    The result is float32 on the CPU. Second-order maps are in units of the representation before
    its L2 normalisation; before refinement each value is that patch's exact share. Other methods
    have units of their own. With `settings.fine` there are two rows and columns for each patch,
    with values as of a whole patch.

    Raises:
        InputError: when a method, layer or text is unknown or cannot be used.
    """
    find_method(method)
    directions = reading.lens_model.text_directions(texts)
    if settings.refine:
        directions = reading.lens_model.towards_pictures(directions)
    return direction_maps(reading, directions, method, settings)


def direction_maps(
    reading: Reading,
    directions: Tensor,
    method: str = SECOND_ORDER,
    settings: MapSettings = EXACT,
) -> Tensor:
    """Return `heatmaps` for directions [text, embed] of the joint space in place of texts."""
    if settings.fine:
        return _fine_maps(reading, directions, method, settings)
    patches = find_method(method).maps(reading, directions, settings).detach().float()
    if settings.refine:
        patches = refined(patches, refinement(reading, directions, settings), method)
    grids: Tensor = patches.unflatten(2, reading.lens_model.grid)
    return grids.float().cpu()


def refined(patches: Tensor, how: Refinement, method: str) -> Tensor:
    """Return a method's maps [image, text, patch] refined; see `explorer.picture.refinement`."""
    return how.apply(_from_nothing(patches, method))


def grounded(maps: Tensor, method: str) -> Tensor:
    """Return maps [image, text, patch_row, patch_column] in which 0 means that nothing speaks.

    Shares have such a zero. A mean activation hasn't, since most post-activations are slightly
    negative; there the lowest patch becomes 0.
    """
    grids: Tensor = _from_nothing(maps.flatten(2), method).unflatten(2, maps.shape[2:])
    return grids


def _fine_maps(reading: Reading, directions: Tensor, method: str, settings: MapSettings) -> Tensor:
    """Return [image, text, row, column] with two rows and columns per patch; see `MapSettings`."""
    pixels = reading.images
    once = replace(settings, fine=False)
    rows, columns = reading.lens_model.grid
    half = (pixels.shape[2] // (2 * rows), pixels.shape[3] // (2 * columns))
    total = torch.zeros(len(pixels), len(directions), 2 * rows, 2 * columns)
    for down, right in product((0, 1), repeat=2):
        height, width = down * half[0], right * half[1]
        maps = direction_maps(reading.moved(height, width), directions, method, once)
        cells = maps.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        cells = functional.pad(cells, (right, 0, down, 0), mode="replicate")
        total += cells[:, :, : 2 * rows, : 2 * columns]
    return total / 4


def _from_nothing(patches: Tensor, method: str) -> Tensor:
    """Return `grounded` for [image, text, patch]."""
    if find_method(method).zero_means_nothing:
        return patches
    return patches - patches.amin(dim=2, keepdim=True)
