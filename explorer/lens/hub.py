"""Weights that a name stands for: found on this machine, or fetched from their hub.

What is here already is used without asking anyone. What isn't is fetched, after one short question
whether the hub can be reached at all: without a network the answer comes at once, and says which
file is missing and where to put it.
"""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from explorer.errors import InputError, brief

SECONDS = 4.0  # for the question whether a hub answers
OPENAI_CACHE = Path("~/.cache/clip")
"""Where OpenAI's `clip.load` leaves its files."""
_CONFIGS = ("open_clip_config.json", "config.json")
_EXTRAS = ("preprocessor_config.json", "processor_config.json")
_NAMES = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin", "model.safetensors", "pytorch_model.bin",
)  # fmt: skip
_UNNAMED = "open_clip_pytorch_model.bin"  # what a tag means that names a repository alone


def tagged_file(tag: dict[str, Any], name: str, pretrained: str) -> Path:
    """Return the weights of one of open_clip's tags, fetched where they aren't here yet.

    Raises:
        InputError: when they are not on this machine and cannot be fetched.
    """
    if found := _tagged_here(tag):
        return found
    url, repository, file = _places(tag)
    if not (_hub_reachable() if repository else reachable(url)):
        wanted = f"{file or _UNNAMED} of {repository}" if repository else url
        raise InputError(
            f"The weights {pretrained!r} of {name} are not on this machine, and their hub cannot "
            f"be reached: get {wanted} elsewhere and give the file as --pretrained FILE"
            f"{_or_openai(url)}."
        )
    import open_clip

    with _fetching(repository or url):
        return Path(open_clip.download_pretrained(tag))


def repository_folder(repository: str) -> Path:
    """Return the folder with a hub repository's description and weights, fetched if need be.

    Raises:
        InputError: when they are not on this machine and cannot be fetched, or there are none.
    """
    with _fetching(repository):
        return _repository_here(repository) or _fetched_repository(repository)


def _fetched_repository(repository: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if not _hub_reachable():
        raise InputError(
            f"The model hf-hub:{repository} is not on this machine, and the hub cannot be reached: "
            f"copy its folder here ({_CONFIGS[0]} or {_CONFIGS[1]}, and its weights) "
            "and give it as --model local-dir:FOLDER."
        )

    def fetched(names: tuple[str, ...]) -> Path | None:
        for name in names:
            try:
                return Path(hf_hub_download(repository, name))
            except LocalEntryNotFoundError:  # the connection was lost
                raise
            except EntryNotFoundError:
                continue
        return None

    config, weights = fetched(_CONFIGS), fetched(_NAMES)
    fetched(_EXTRAS)
    if config is None or weights is None:
        raise InputError(
            f"The repository {repository} holds no CLIP: it needs {_CONFIGS[0]} or {_CONFIGS[1]}, "
            f"and weights such as {_NAMES[0]}."
        )
    return config.parent


@contextmanager
def _fetching(place: str) -> Iterator[None]:
    """Turn what the hub's library raises of a repository into one sentence."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        yield
    except HFValidationError as error:
        raise InputError(
            f"{place!r} is not the name of a repository on the hub ({brief(error)}): give "
            "OWNER/NAME, as in hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K."
        ) from error
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise InputError(
            f"{place} could not be fetched from the hub ({brief(error)}): check its name, and for "
            "one that is private or gated ask for access on its page and run `hf auth login`."
        ) from error


def reachable(address: str, seconds: float = SECONDS) -> bool:
    """Return whether a server answers at all within some seconds, whatever it says.

    Asked in a thread of its own: looking up a name can take longer than any time limit.
    """
    answered: list[bool] = []

    def ask() -> None:
        request = urllib.request.Request(address, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=seconds):
                answered.append(True)
        except urllib.error.HTTPError:
            answered.append(True)
        except (OSError, ValueError):
            answered.append(False)

    thread = threading.Thread(target=ask, name="is the hub there", daemon=True)
    thread.start()
    thread.join(seconds)
    return any(answered)


def _places(tag: dict[str, Any]) -> tuple[str, str, str]:
    """Return a tag's address, and its repository and file on the hub; "" for what it lacks."""
    repository, _, file = tag.get("hf_hub", "").rpartition("/")
    return tag.get("url", ""), repository, file


def _tagged_here(tag: dict[str, Any]) -> Path | None:
    url, repository, file = _places(tag)
    kept = OPENAI_CACHE.expanduser() / url.rpartition("/")[2]
    if url and kept.is_file():
        return kept
    if not repository:
        return None
    names = (str(Path(file).with_suffix(".safetensors")), file) if file else _NAMES
    return _cached(repository, names)


def _repository_here(repository: str) -> Path | None:
    config = _cached(repository, _CONFIGS)
    return config.parent if config and any((config.parent / n).is_file() for n in _NAMES) else None


def _cached(repository: str, names: tuple[str, ...]) -> Path | None:
    """Return the first of a repository's files that the hub's cache holds."""
    from huggingface_hub import try_to_load_from_cache

    found = (try_to_load_from_cache(repository, name) for name in names)
    return next((Path(file) for file in found if isinstance(file, str)), None)


def _hub_reachable() -> bool:
    from huggingface_hub import constants

    return not constants.HF_HUB_OFFLINE and reachable(constants.ENDPOINT)


def _or_openai(url: str) -> str:
    """Name the place where OpenAI's own library keeps the file, which is looked at too."""
    file = url.rpartition("/")[2]
    return f", or put OpenAI's {file} into {OPENAI_CACHE}" if "openai" in url else ""
