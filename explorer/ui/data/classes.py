"""The classes of a bundle that the Adversarial page knows."""

from __future__ import annotations

from explorer.attack.vocabulary import vocabulary
from explorer.ui.data.loaders import View


def classes_of(view: View) -> list[str]:
    """Return the labels that a scene can be made of and the model asked for, sorted."""
    return view.held("attack classes", _listed)


def _listed(view: View) -> list[str]:
    words = vocabulary(view.bundle)
    return sorted({*words.held_out, *words.pictures})
