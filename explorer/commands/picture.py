"""The commands that look at one picture: `segment` and `discover`."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.commands.options import BUNDLE, Adder, Result, add_settings, positive, read_settings
from explorer.errors import InputError

if TYPE_CHECKING:
    from explorer.picture.uploads import Upload


def add_image_commands(add: Adder) -> None:
    """Add both commands to the command line's parser."""
    add("segment", _segment, "show where in a picture texts are", _fill_segment)
    discover = add("discover", _discover, "list the concepts and neurons of a picture")
    discover.add_argument("bundle", type=Path, help=BUNDLE)
    discover.add_argument("image", type=Path, help="a picture file")
    discover.add_argument("--top", type=positive, default=12, help="concepts and neurons to list")


def _fill_segment(command: argparse.ArgumentParser) -> None:
    from explorer.picture.methods import METHODS
    from explorer.picture.settings import SegmentSettings

    command.add_argument("bundle", type=Path, help=BUNDLE)
    command.add_argument("image", type=Path, help="a picture file")
    command.add_argument("texts", nargs="+", metavar="TEXT", help="what to look for")
    command.add_argument("-o", "--out", type=Path, required=True, help="folder for the results")
    add_settings(command, SegmentSettings)
    form = command.add_mutually_exclusive_group()
    form.add_argument("--exact", action="store_true", help="leave the maps unrefined")
    form.add_argument("--fine", action="store_true", help="four passes, a grid twice as fine")
    command.epilog = f"Methods: {', '.join(METHODS)}."


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
    from explorer.formats import file_stem
    from explorer.picture import files as exports
    from explorer.picture.settings import EXACT, FINE, REFINED, SegmentSettings
    from explorer.picture.study import Study

    maps = EXACT if options.exact else FINE if options.fine else REFINED
    settings = replace(read_settings(options, SegmentSettings), maps=maps)
    bundle = Bundle.open(options.bundle)
    upload = read_picture(options.image)
    found = Study.of(bundle, upload.picture).segment(options.texts, settings)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    files = {"labels.png": exports.mask_file(found, upload.size)}
    for place, text in enumerate(found.texts):
        name = f"{place + 1}-{file_stem(text, 'picture')}.png"
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
