"""Whether a build is done already, and how it differs from what is asked for now."""

from __future__ import annotations

from typing import Any

from explorer.build.settings import AUTO, RECORDED, BuildSettings, parse_layers
from explorer.bundle import MANIFEST, MODEL_FOLDER, Bundle, Manifest


def differences(settings: BuildSettings) -> list[str] | None:
    """Return how the finished bundle at `settings.out` differs from the settings, one line each.

    None where there is no finished bundle. What a bundle does not record is not compared: which
    folder a model or pictures came from.

    Raises:
        BundleError: when the bundle there cannot be opened.
        InputError: when the layers asked for are none of the bundle's model.
    """
    if not (settings.out / MANIFEST).is_file():
        return None
    manifest = Bundle.open(settings.out).manifest
    asked, built = _asked(settings, manifest), _built(manifest)
    return [
        f"{name}: built with {built[name]}, asked for {value}"
        for name, value in asked.items()
        if name in built and built[name] != value
    ]


def _asked(settings: BuildSettings, manifest: Manifest) -> dict[str, Any]:
    local = settings.model.startswith("local-dir:")
    return {
        "name": settings.name or settings.out.name,
        "model": MODEL_FOLDER if local else settings.model,
        "pretrained": settings.pretrained,
        "layers": parse_layers(settings.layers, manifest.model["blocks"]),
        **{
            name: getattr(settings, name)
            for name in RECORDED
            if name != "batch_size" or settings.batch_size != AUTO
        },
    }


def _built(manifest: Manifest) -> dict[str, Any]:
    model = manifest.model
    return {
        "name": manifest.name,
        "model": model["source"],
        "pretrained": model["pretrained"],
        "layers": manifest.layers,
        **manifest.settings,
    }
