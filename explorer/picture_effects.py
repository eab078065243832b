"""From a picture to neurons: every neuron's second-order effect along its own direction.

With `c` the coefficients of the picture, `mean c` their mean over the corpus and `d` a neuron's
direction, its signed effect is

    s[n] = sum over paths k of (c[k, n] - mean c[k, n]) (u[n, k] . d[n])

in units of the output before its L2 normalisation: the number that ranks a neuron's top pictures
(paper, section 4.1), for one picture and all neurons. One pass through the lens; the products
`u . d` depend on the model alone and are computed once (`PictureLens`).

Axes: neuron (all layers of the bundle, in the order of its table), path.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.sources import MAX_PIXELS, UNREADABLE

if TYPE_CHECKING:
    from torch import Tensor

    from explorer.models import LoadedModel


class PictureLens:
    """What ranks a bundle's neurons by a picture; safe to share between threads.

    ``loaded`` is the model that the bundle was built from. Raises InputError if it is another one.
    """

    def __init__(self, bundle: Bundle, loaded: LoadedModel) -> None:
        """Check that model and bundle belong together; nothing is computed yet."""
        embed = bundle.directions.shape[1]
        if loaded.embed != embed or max(bundle.manifest.layers) > loaded.layers - 2:
            raise InputError(
                f"The model {loaded.source} (embed {loaded.embed}, {loaded.layers} layers) is not "
                f"the one of the bundle “{bundle.name}”: load the bundle's own model."
            )
        self.bundle = bundle
        self.loaded = loaded
        self._lock = threading.Lock()
        self._projections: Mapping[int, Tensor] = {}

    def effects(self, picture: Image.Image) -> NDArray[np.float32]:
        """Return the signed centred effect of every neuron along its direction: [neuron] float32.

        A dead neuron, whose direction is zero, has effect 0.
        """
        import torch  # noqa: PLC0415  not needed to browse

        from explorer.lens import trace  # noqa: PLC0415
        from explorer.models import to_rgb  # noqa: PLC0415

        projections = self._own_projections()
        pixels = self.loaded.preprocess(to_rgb(picture))[None].to(self.loaded.device)
        record = trace(self.loaded.model, pixels, list(projections))
        parts = []
        with torch.no_grad():
            for layer, own in projections.items():
                mean = torch.from_numpy(np.array(self.bundle.mean_coefficients(layer)))
                centred = record.coefficients(layer)[0].cpu() - mean  # [path, neuron]
                parts.append((centred.T * own).sum(dim=1))
        effects: NDArray[np.float32] = torch.cat(parts).float().numpy()
        return effects

    def _own_projections(self) -> Mapping[int, Tensor]:
        """Layer -> [neuron, path], computed when first asked for."""
        import torch  # noqa: PLC0415

        from explorer.lens import own_projections  # noqa: PLC0415

        with self._lock:
            if not self._projections:
                bundle, layers = self.bundle, self.bundle.neurons["layer"].to_numpy()
                self._projections = {
                    int(layer): own_projections(
                        self.loaded.model,
                        int(layer),
                        torch.from_numpy(np.asarray(bundle.directions[layers == layer], "f4")),
                        centre=bundle.manifest.centre,
                    ).cpu()
                    for layer in np.unique(layers)
                }
            return self._projections


def picture_effects(
    bundle: Bundle, picture: int | Image.Image, loaded: LoadedModel | None = None
) -> NDArray[np.float32]:
    """Return every neuron's effect for one picture; see `PictureLens.effects`.

    ``picture`` is the number of one of the bundle's pictures, or a picture.

    Raises:
        InputError: there is no such picture, or the model's weights cannot be found.
    """
    shown = bundle.pictures.image(picture) if isinstance(picture, int) else picture
    return PictureLens(bundle, loaded or bundle.load_model()).effects(shown)


def relative_effects(bundle: Bundle, effects: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return effects in units of each neuron's typical effect, 0 where it has none: [neuron]."""
    scale = bundle.neurons["scale"].fillna(0).to_numpy(np.float32)
    return np.divide(effects, scale, out=np.zeros_like(effects), where=scale > 0)


def read_picture(data: bytes, name: str = "the file") -> Image.Image:
    """Decode an uploaded picture, turned upright.

    Raises InputError if it is none, is damaged, or has more than 64 million pixels.
    """
    try:
        picture = Image.open(io.BytesIO(data))
        if picture.width * picture.height > MAX_PIXELS:
            raise InputError(
                f"{name} has {picture.width:,} x {picture.height:,} pixels; give a picture of at "
                f"most {MAX_PIXELS // 1_000_000} million."
            )
        return ImageOps.exif_transpose(picture).copy()
    except UNREADABLE as error:
        raise InputError(
            f"{name} cannot be read as a picture; give a PNG, JPEG, WebP, GIF, BMP or TIFF file."
        ) from error
