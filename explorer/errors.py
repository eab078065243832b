"""The one exception family: every message says what was tried, what came and what to do."""


class ExplorerError(Exception):
    """Base of all errors a user can mend; the command line exits with 2 on it."""


class UnsupportedModelError(ExplorerError):
    """The image tower is not one whose second-order effects this package computes exactly."""


class BundleError(ExplorerError):
    """A bundle's file is missing, altered, truncated or of an unknown format."""


class InputError(ExplorerError):
    """A picture, text, layer, neuron or setting given by the user cannot be used."""


class StoreError(ExplorerError):
    """The findings' database cannot be reached, read or written."""


class ConflictError(ExplorerError):
    """Someone else changed or deleted what was to be changed; nothing was overwritten."""


def brief(error: BaseException) -> str:
    """Return the first line of what an exception says that isn't ours, or else its kind."""
    lines = str(error).strip().splitlines()
    said = lines[0] if lines else type(error).__name__
    return "".join(sign if sign.isprintable() else "?" for sign in said)


def os_sentence(error: OSError) -> str:
    """Return what the system refused, with its file and what to do."""
    if error.filename is None:
        return f"{error.strerror or brief(error)}."
    remedy = next((text for kind, text in _REMEDIES.items() if isinstance(error, kind)), "")
    reason = remedy or f"cannot be used: {error.strerror}; check the path, or name another"
    return f"{error.filename} {reason}."


_REMEDIES: dict[type[OSError], str] = {
    FileNotFoundError: "is not there: check the path",
    NotADirectoryError: "is a file, or lies in one: name a folder",
    FileExistsError: "is a file where a folder is needed: name another",
    IsADirectoryError: "is a folder: name a file",
    PermissionError: "may not be read or written by you: change its permissions or name another",
}
