"""Whether a build is done already, and how it differs from what is asked for now."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from explorer.build.settings import AUTO, RECORDED, BuildSettings, parse_layers, whole_path
from explorer.build.sources import open_source
from explorer.bundle import MANIFEST, MODEL_FOLDER, Bundle, Manifest
from explorer.bundle.manifest import FileFacts, hash_file
from explorer.bundle.shipped import SHIPPED
from explorer.errors import BundleError, InputError
from explorer.lens.origin import LOCAL, SUFFIXES, model_files


def differences(settings: BuildSettings) -> list[str] | None:
    """Return how the finished bundle at `settings.out` differs from the settings, one line each.

    None where there is no finished bundle. What a bundle does not record is not compared: which
    shards or tables pictures were held out of, or a local model whose files it does not hold.

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
    return {
        "name": settings.name or settings.out.name,
        "model": _model(settings, manifest),
        "pretrained": whole_path(settings.pretrained),
        "pretrained_text": whole_path(settings.pretrained_text),
        "layers": parse_layers(settings.layers, manifest.model["blocks"]),
        "images": _named(settings.images),
        "held_out": _folder(settings.held_out),
        **{
            name: getattr(settings, name)
            for name in RECORDED
            if name != "batch_size" or settings.batch_size != AUTO
        },
    }


def _built(manifest: Manifest) -> dict[str, Any]:
    model, images = manifest.model, manifest.images
    return {
        "name": manifest.name,
        "model": model["source"],
        **{name: model[name] for name in ("pretrained", "pretrained_text") if name in model},
        "layers": manifest.layers,
        "images": _shown(images["source"], images.get("folder")),
        "held_out": images.get("held_out_folder"),
        **manifest.settings,
    }


def _model(settings: BuildSettings, manifest: Manifest) -> str:
    """Return the model asked for: `MODEL_FOLDER` where it is the one that the bundle holds."""
    if not settings.model.startswith(LOCAL):
        return settings.model
    place = f"{MODEL_FOLDER}/"
    held = {n.removeprefix(place): f for n, f in manifest.files.items() if n.startswith(place)}
    folder = Path(settings.model.removeprefix(LOCAL))
    if not folder.is_dir():
        return f"{folder}, which is not there"
    other = [f.name for f in model_files(folder) if held and _computes(f) and not _same(f, held)]
    return f"{folder} with another {', '.join(other)}" if other else MODEL_FOLDER


def _computes(file: Path) -> bool:
    """Return whether a model's results follow from a file: weights, descriptions."""
    return file.suffix in SUFFIXES or file.name.endswith("config.json")


def _same(file: Path, held: dict[str, FileFacts]) -> bool:
    facts = held.get(file.name)
    if facts is None or facts["bytes"] != file.stat().st_size:
        return False
    return facts["sha256"] == hash_file(file)["sha256"]


def _named(images: str) -> str:
    """Return what the manifest would say of where pictures come from."""
    try:
        source = open_source(images, SHIPPED)
    except (InputError, BundleError):
        return f"{images}, which cannot be opened"
    return _shown(source.name, source.places.get("folder"))


def _folder(held_out: str) -> str | None:
    """Return the folder of the pictures that are held out."""
    try:
        return open_source(held_out, SHIPPED).places.get("folder") if held_out else None
    except (InputError, BundleError):
        return f"{held_out}, which cannot be opened"


def _shown(source: str, folder: str | None) -> str:
    """Return a folder, or the name of a list in it."""
    if folder is None:
        return source
    return folder if Path(folder).name == source else f"{source} in {folder}"
