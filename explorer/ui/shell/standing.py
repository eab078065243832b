"""How a bundle stands to chance, in one sentence at the head of its pages."""

from __future__ import annotations

import shlex

from markupsafe import Markup

from explorer.bundle import MODEL_FOLDER, Bundle
from explorer.ui.data.loaders import View
from explorer.ui.html.elements import NOTHING, caption, tag

NO_BETTER = "In this bundle words describe neurons no better than chance."


def sentence(view: View) -> Markup:
    """Say on every page of a bundle that none of its neurons' words pass; else nothing."""
    return caption(NO_BETTER, css="standing") if view.says_nothing else NOTHING


def what_it_lacks(view: View) -> Markup:
    """Say of a bundle that was not compared with chance what it lacks, and how to bring it."""
    if view.bundle.tested:
        return NOTHING
    return caption(
        "This bundle was built before neurons were compared with chance, so nothing here says "
        "which of its words mean something. To know, build it again: ",
        tag("code", rebuild_command(view.bundle)),
        css="standing",
    )


def rebuild_command(bundle: Bundle) -> str:
    """Return the command that builds a bundle's pictures, texts and layers again."""
    model = bundle.manifest.model
    here = shlex.quote(f"{bundle.path.parent.name}/{bundle.path.name}")
    own = (bundle.path / MODEL_FOLDER).is_dir()
    parts = [
        f"--model {f'local-dir:{here}/{MODEL_FOLDER}' if own else model['source']}",
        f"--pretrained {model['pretrained']}" if model["pretrained"] and not own else "",
        f"--images bundle:{here}",
        f"--texts bundle:{here}",
        f"--layers {','.join(map(str, bundle.manifest.layers))}",
        f"--out {here}-tested",
    ]
    return " ".join(["python -m explorer build", *filter(None, parts)])
