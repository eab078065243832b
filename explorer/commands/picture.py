"""The commands that look at one picture: `segment` and `discover`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.errors import InputError

if TYPE_CHECKING:
    from explorer.picture.uploads import Upload

Result = dict[str, Any]
Adder = Callable[[str, Callable[[argparse.Namespace], Result], str], argparse.ArgumentParser]


def add_image_commands(add: Adder) -> None:
    """Add both commands to the command line's parser."""
    from explorer.picture.methods import METHODS
    from explorer.picture.settings import SegmentSettings

    usual = SegmentSettings()
    segment = add("segment", _segment, "show where in a picture texts are")
    segment.add_argument("bundle", type=Path)
    segment.add_argument("image", type=Path)
    segment.add_argument("texts", nargs="+", metavar="TEXT")
    segment.add_argument("-o", "--out", type=Path, required=True, help="folder for the results")
    segment.add_argument(
        "--method", default=usual.method, metavar="METHOD", help=f"one of {', '.join(METHODS)}"
    )
    segment.add_argument("--fit", default=usual.fit, help="pad, or tile for long pictures")
    segment.add_argument("--threshold", type=float, help="share of a text's peak, 0 to 1")
    segment.add_argument("--exact", action="store_true", help="leave the maps unrefined")
    discover = add("discover", _discover, "list the concepts and neurons of a picture")
    discover.add_argument("bundle", type=Path)
    discover.add_argument("image", type=Path)
    discover.add_argument("--top", type=int, default=12, help="concepts and neurons to list")


def read_picture(path: Path) -> Upload:
    """Read a picture file, checked as an upload is.

    Raises:
        InputError: with the file's name, when it cannot be read.
    """
    from explorer.picture.uploads import MAX_BYTES, decode

    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}. Check the path.") from error
    try:
        return decode(data)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _segment(options: argparse.Namespace) -> Result:
    from explorer.bundle import Bundle
    from explorer.picture import files as exports
    from explorer.picture.settings import MapSettings, SegmentSettings
    from explorer.picture.study import Study

    settings = SegmentSettings(
        options.method, MapSettings(refine=not options.exact), options.fit, options.threshold
    )
    bundle = Bundle.open(options.bundle)
    upload = read_picture(options.image)
    found = Study.of(bundle, upload.picture).segment(options.texts, settings)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    files = {"labels.png": exports.mask_file(found, upload.size)}
    for place, text in enumerate(found.texts):
        name = f"{place + 1}-{exports.file_stem(text)}.png"
        files[name] = exports.overlay_file(upload.picture, found, place)
    files["maps.npz"] = exports.arrays_file(found)
    result = exports.description(bundle, found, settings, upload.size)
    files["settings.json"] = (json.dumps(result, ensure_ascii=False, indent=1) + "\n").encode()
    for name, data in files.items():
        (out / name).write_bytes(data)
    return {**result, "files": [str(out / name) for name in files]}


def _discover(options: argparse.Namespace) -> Result:
    from explorer.bundle import Bundle
    from explorer.picture.study import Study

    bundle = Bundle.open(options.bundle)
    upload = read_picture(options.image)
    found = Study.of(bundle, upload.picture).discovery(options.top, options.top)
    return {"bundle": bundle.name, "size": list(upload.size), **found.as_dict()}
