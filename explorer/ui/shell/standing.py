"""How a bundle stands to chance, in one sentence at the head of its pages."""

from __future__ import annotations

from itertools import chain

from markupsafe import Markup

from explorer.bundle import MODEL_FOLDER, Bundle
from explorer.ui.core import command_line
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
    here = bundle.path.resolve()
    options = _model_options(bundle) | {
        "--images": f"bundle:{here}",
        "--texts": f"bundle:{here}",
        "--layers": ",".join(map(str, bundle.manifest.layers)),
        "--out": f"{here}-tested",
    }
    return command_line.explorer("build", *chain.from_iterable(options.items()))


def _model_options(bundle: Bundle) -> dict[str, str]:
    """Return the options that load a bundle's model: of its own, or of where it came from."""
    own = bundle.path.resolve() / MODEL_FOLDER
    if own.is_dir():
        return {"--model": f"local-dir:{own}"}
    model = bundle.manifest.model
    weights = {
        "--pretrained": model["pretrained"],
        "--pretrained-text": model.get("pretrained_text"),
    }
    return {"--model": model["source"]} | {key: name for key, name in weights.items() if name}
