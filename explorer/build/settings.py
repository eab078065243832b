"""What to build and from what; the command line's options are made from these fields."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from explorer.describe.prediction import UNSEEN
from explorer.errors import InputError

AT_LEAST_ONE = (
    "significant_cap", "nonzero", "words", "warm_up", "thumbnail", "sample", "nulls", "ray_cpus",
    "ray_part",
)  # fmt: skip
RECORDED = (
    "significant", "significant_cap", "nonzero", "warm_up", "batch_size", "dtype", "seed", "texts",
    "words", "leave_out", "sample", "unseen", "nulls", "pursuit", "hold_out", "thumbnail",
)  # fmt: skip
"""Settings that the manifest keeps."""

FREE = (
    "out", "save_minutes", "workers", "memory", "engine", "ray_address", "ray_cpus", "ray_part",
)  # fmt: skip
"""Settings that a resumed build may change: its arrays don't follow from them."""

READ_WITH = (
    "model", "pretrained", "pretrained_text", "images", "hold_out", "held_out", "thumbnail", "seed",
)  # fmt: skip
"""Settings that pictures are read with; others may change until the pass over them begins."""

MOST_TEXTS = 127
"""Of a sparse set: each may be a cluster of its own, and a bundle numbers these in int8."""

AUTO = 0
"""The batch size that a build finds itself (`explorer.build.batch`)."""

ENGINES = ("local", "ray")
"""Where the work of a build is done (`explorer.build.engine`)."""

PURSUITS = ("coherent", "nonnegative", "omp")
"""Ways to choose a direction's texts (`explorer.describe.pursuits`); omp is the paper's."""
PURSUIT = "coherent"
"""The default: of few texts, its predict effects on unseen pictures at least as well.

See the table of pursuits in `docs/chance.md`, and in the evidence's section `controls`.
"""


def _batch(text: str) -> int:
    """Read `--batch-size`.

    Raises:
        InputError: when it is neither a number above 0 nor "auto".
    """
    if text == "auto":
        return AUTO
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"--batch-size is a number from 1 on, or auto; got '{text}'.")
    return int(text)


def _option(text: str, **more: Any) -> dict[str, Any]:
    return {"help": text, **more}


@dataclass(frozen=True)
class BuildSettings:
    """What to build and from what; see `python -m explorer build --help`."""

    model: str = field(metadata=_option("open_clip name, local-dir:FOLDER or hf-hub:NAME"))
    out: Path = field(metadata=_option("the bundle's folder"))
    pretrained: str | None = field(default=None, metadata=_option("open_clip tag or weights file"))
    pretrained_text: str | None = field(
        default=None,
        metadata=_option("weights file of the text tower, where --pretrained has none"),
    )
    images: str = field(
        default="bundle-images",
        metadata=_option(
            "folder, list of paths, WebDataset shards, Parquet or Arrow tables, bundle:PATH, "
            "store:PATH, or bundle-images: those of the shipped bundle"
        ),
    )
    hold_out: float | None = field(
        default=None,
        metadata=_option(
            "share of a folder's pictures to hold out and measure on, by label; 0.1 by default "
            "where it has labels"
        ),
    )
    held_out: str = field(
        default="", metadata=_option("second folder, whose pictures are held out")
    )
    texts: str = field(
        default="corpus", metadata=_option("file, corpus, common, corpus+common or bundle:PATH")
    )
    layers: str = field(default="all", metadata=_option("all, or numbers with commas"))
    name: str = field(default="", metadata=_option("name in addresses; the folder's by default"))
    significant: float = field(
        default=0.02, metadata=_option("share of images that are significant")
    )
    significant_cap: int = field(default=400, metadata=_option("at most N significant images"))
    nonzero: int = field(
        default=64, metadata=_option(f"texts of a sparse set, {MOST_TEXTS} at most")
    )
    leave_out: str = field(
        default="",
        metadata=_option("profanity, or a file of words: texts that hold one stay out"),
    )
    pursuit: str = field(
        default=PURSUIT,
        metadata=_option("how texts of a sparse set are chosen", choices=list(PURSUITS)),
    )
    words: int = field(default=30_000, metadata=_option("how many common words"))
    sample: int = field(
        default=192, metadata=_option("random pictures kept with every neuron's effect")
    )
    unseen: float = field(
        default=UNSEEN,
        metadata=_option("share of the images looked at again, to test words and drivers on"),
    )
    nulls: int = field(
        default=2000, metadata=_option("null directions per layer, which say what chance gives")
    )
    warm_up: int = field(default=256, metadata=_option("images that set the first mean"))
    batch_size: int = field(
        default=32,
        metadata=_option("images of one forward pass; auto: as many as memory allows", read=_batch),
    )
    thumbnail: int = field(default=160, metadata=_option("side of the bundle's pictures, pixels"))
    device: str = field(default="cpu", metadata=_option("torch device, such as cuda"))
    dtype: str = field(
        default="float32",
        metadata=_option("the model's numbers", choices=["float32", "bfloat16", "float16"]),
    )
    memory: float | None = field(
        default=None,
        metadata=_option(
            "GiB that statistics may take beside the model; by default what is free. Where it is "
            "too little for all layers, they go in groups, each with a pass of its own"
        ),
    )
    workers: int | None = field(
        default=None,
        metadata=_option("processes that decode pictures; by default as many as serve"),
    )
    seed: int = field(
        default=0, metadata=_option("random seed of the image order and of the sample")
    )
    save_minutes: float = field(default=3.0, metadata=_option("minutes between two saves"))
    engine: str = field(
        default="local",
        metadata=_option(
            "where the work is done: here, or on a Ray cluster", choices=list(ENGINES)
        ),
    )
    ray_address: str | None = field(
        default=None,
        metadata=_option(
            "the cluster's, HOST:6379; by default RAY_ADDRESS, the cluster that this machine "
            "belongs to, or a new one of this machine alone"
        ),
    )
    ray_cpus: int | None = field(
        default=None,
        metadata=_option("cores, and threads, of a Ray worker; by default the smallest machine's"),
    )
    ray_part: int | None = field(
        default=None,
        metadata=_option("images that a Ray worker takes at once; by default a 64th, or 1,024"),
    )

    def __post_init__(self) -> None:
        """Refuse what no build can use.

        Raises:
            InputError: when a setting is out of range.
        """
        self._take_paths()
        self._check_forms()
        if not 0 < self.significant <= 0.5:
            raise InputError(
                f"--significant is a share above 0 and up to 0.5; got {self.significant}."
            )
        if self.hold_out is not None and not 0 <= self.hold_out <= 0.5:
            raise InputError(f"--hold-out is a share from 0 up to 0.5; got {self.hold_out}.")
        if not 0 < self.unseen <= 1:
            raise InputError(f"--unseen is a share above 0 and up to 1; got {self.unseen}.")
        if self.memory is not None and not self.memory > 0:
            raise InputError(f"--memory is {self.memory} GiB: give more than 0.")
        if self.workers is not None and self.workers < 0:
            raise InputError(f"--workers is {self.workers}: give 0 or more.")
        if self.batch_size < AUTO:
            raise InputError(f"--batch-size must be at least 1, or auto; got {self.batch_size}.")
        if self.seed < 0:
            raise InputError(f"--seed is {self.seed}: give 0 or more.")
        if not self.name and not self.out.name.isprintable():
            raise InputError(f"The name of --out is no UTF-8: {self.out.name!r}; give --name too.")
        if self.nonzero > MOST_TEXTS:
            raise InputError(f"--nonzero can be {MOST_TEXTS} at most; got {self.nonzero}.")
        for name in AT_LEAST_ONE:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"--{name.replace('_', '-')} must be at least 1; got {value}.")

    def _take_paths(self) -> None:
        """Take paths where text is expected, and text where a path is."""
        object.__setattr__(self, "out", Path(self.out))
        for name in ("pretrained", "pretrained_text", "images", "held_out", "texts", "leave_out"):
            if isinstance(value := getattr(self, name), Path):
                object.__setattr__(self, name, str(value))

    def _check_forms(self) -> None:
        if not isinstance(self.layers, str):
            raise InputError(f"Layers are text, such as '8,9,10' or 'all'; got {self.layers!r}.")
        if self.ray_address and self.engine != "ray":
            raise InputError(f"--ray-address {self.ray_address} needs --engine ray beside it.")

    def identity(self) -> dict[str, Any]:
        """Return what a resumed build must share with the interrupted one."""
        kept = {k: v for k, v in asdict(self).items() if k not in FREE}
        return {**kept, "name": self.name or self.out.name}


def parse_layers(spec: str, blocks: int) -> list[int]:
    """Return the layers named by `--layers`: "all", or numbers with commas.

    Raises:
        InputError: when a layer is no number or has no later attention block.
    """
    if spec == "all":
        return list(range(blocks - 1))
    try:
        layers = sorted({int(part) for part in spec.split(",")})
    except ValueError as error:
        raise InputError(
            f"--layers takes 'all' or numbers such as 8,9,10; got '{spec}'."
        ) from error
    if not layers or not 0 <= layers[0] <= layers[-1] <= blocks - 2:
        raise InputError(
            f"This model's layers with later attention are 0 to {blocks - 2}; got '{spec}'."
        )
    return layers


def whole_path(weights: str | None) -> str | None:
    """Return a weights file's path from the root, found from anywhere; a tag as it is."""
    named = weights is not None and Path(weights).is_file()
    return str(Path(weights).resolve()) if weights is not None and named else weights
