"""From a picture to neurons: every neuron's second-order effect along its own direction.

With `c` the coefficients of the picture, `mean c` their mean over the corpus and `d` a neuron's
direction, its signed effect is

    s[n] = sum over paths k of (c[k, n] - mean c[k, n]) (u[n, k] . d[n])

in units of the output before its L2 normalisation: the number that ranks a neuron's top pictures
(paper, section 4.1), for one picture and all neurons. One pass through the lens; the products
`u . d` depend on the model alone and are computed once (`LensModel.own_projections`).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from explorer.bundle import Bundle
from explorer.lens.models import to_rgb
from explorer.picture.maps import as_lens_model, neuron_effects, read
from explorer.picture.model import LensModel


def picture_effects(lens_model: LensModel | Bundle, picture: Image.Image) -> NDArray[np.float32]:
    """Return the signed centred effect of every neuron for one picture: [neuron] float32.

    Neurons of all layers, in the order of the bundle's table; the picture goes through the model's
    own preprocessing. A dead neuron, whose direction is zero, has effect 0.

    Raises InputError if the model's weights cannot be found.
    """
    opened = as_lens_model(lens_model)
    reading = read(opened, opened.loaded.preprocess(to_rgb(picture))[None])
    parts = [neuron_effects(reading, layer)[0].float().cpu() for layer in opened.layers]
    effects: NDArray[np.float32] = torch.cat(parts).numpy()
    return effects
