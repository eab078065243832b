"""Commands shown for pasting: what a bundle brings along is one word of them, never a command."""

from __future__ import annotations

import re
import shlex
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import pytest

from explorer.ui.core import command_line
from explorer.ui.data import loaders
from explorer.ui.shell import standing
from tests.support.altered import linked_copy
from tests.support.app import html_of, run_page

HOSTILE = ["; rm -rf ~", "a b", "`id`", "$(id)", "it's", "a\nb", "a & b | c > d", ""]


def commands(html: str) -> list[list[str]]:
    """Return the words of the commands on a page, as a shell reads them."""
    return [
        shlex.split(unescape(text)) for text in re.findall(r"<pre[^>]*><code>(.*)</code>", html)
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_word_stays_one_word(name: str) -> None:
    words = ["verify", name, "--only", name]
    assert shlex.split(command_line.explorer(*words)) == ["python", "-m", "explorer", *words]


@pytest.mark.parametrize("name", HOSTILE[:-1])
def test_the_command_to_rebuild_quotes_what_the_manifest_says(name: str, tmp_path: Path) -> None:
    """A bug: the model's source and weights were pasted as they stood, and its text tower left out.

    Any manifest may name them, and so run a command in the shell of who follows the advice.
    """
    model = {"source": name, "pretrained": f"w{name}", "pretrained_text": f"t{name}"}
    bundle = SimpleNamespace(
        path=tmp_path / name, manifest=SimpleNamespace(model=model, layers=[1, 2])
    )
    words = shlex.split(standing.rebuild_command(bundle))
    here = str(tmp_path / name)
    assert words[:4] == ["python", "-m", "explorer", "build"]
    assert dict(zip(words[4::2], words[5::2], strict=True)) == {
        "--model": name,
        "--pretrained": f"w{name}",
        "--pretrained-text": f"t{name}",
        "--images": f"bundle:{here}",
        "--texts": f"bundle:{here}",
        "--layers": "1,2",
        "--out": f"{here}-tested",
    }
    model |= {"pretrained": None, "pretrained_text": None}
    words = shlex.split(standing.rebuild_command(bundle))
    assert words[4::2] == ["--model", "--images", "--texts", "--layers", "--out"]


def test_pages_quote_the_folder_of_a_bundle(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug: `precomputed/` stood before the name of a bundle that is elsewhere, and no quotes."""
    folder = linked_copy(tiny_bundle, tmp_path / "my bundles" / "; rm -rf ~ `id`").resolve()
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(folder.parent))
    (words,) = commands(html_of(run_page("bundles")))
    assert words[3:] == [
        "build",
        "--model",
        "MODEL",
        "--images",
        f"bundle:{folder}",
        "--out",
        "OUT",
    ]
    (folder / "top_images.npy").unlink()
    (words,) = commands(html_of(run_page("neurons")))
    assert words[3:] == ["verify", str(folder)]
