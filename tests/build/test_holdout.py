"""Which pictures are held out: shares by label, by the seed, near-duplicates on one side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from explorer.build import build, holdout
from explorer.build.holdout import ALIKE, alike_groups, draw_held_out, signature
from explorer.build.listed import ListedSource
from explorer.build.listings import FolderListing
from explorer.build.sources import open_source
from explorer.bundle import Bundle
from explorer.errors import InputError
from tests.conftest import settings_for
from tests.support.photographs import photograph, write_photographs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """40 pictures in 8 sub-folders, of five each."""
    return write_photographs(tmp_path / "in", 8, 5)


def splits(source: ListedSource) -> dict[str, str]:
    return {record["name"]: record["split"] for record, _ in source.rows(32)}


def test_a_tenth_of_a_folder_with_labels_is_held_out(folder: Path) -> None:
    found = splits(ListedSource(FolderListing(folder), hold_out=None))
    held = [name for name, split in found.items() if split == "heldout"]
    assert len(held) == 4
    assert len({Path(name).parent for name in held}) == 4, "no label gives two before all give one"
    assert list(found.values()) == ["corpus"] * 36 + ["heldout"] * 4
    assert splits(ListedSource(FolderListing(folder), hold_out=None)) == found
    other = splits(ListedSource(FolderListing(folder), hold_out=None, seed=1))
    assert {n for n, s in other.items() if s == "heldout"} != set(held)


def test_pictures_keep_their_numbers_behind_the_split(folder: Path) -> None:
    source = ListedSource(FolderListing(folder), hold_out=0.2)
    for number, (record, _) in enumerate(list(source.rows(32))):
        expected = np.asarray(Image.open(folder / record["name"]))
        assert (np.asarray(source.picture(number)) == expected).all()


def test_without_labels_nothing_is_held_out_unless_asked(tmp_path: Path) -> None:
    for place in range(20):
        photograph(place).save(tmp_path / f"{place}.png")
    assert "heldout" not in splits(ListedSource(FolderListing(tmp_path), hold_out=None)).values()
    asked = splits(ListedSource(FolderListing(tmp_path), hold_out=0.25))
    assert sum(split == "heldout" for split in asked.values()) == 5


def test_near_duplicates_stay_on_one_side(tmp_path: Path) -> None:
    """Each picture comes again smaller and as a JPEG; the opposite is seen without the groups."""
    files: list[Path] = []
    for place in range(30):
        label = tmp_path / "ab"[place % 2]
        label.mkdir(exist_ok=True)
        picture = photograph(place)
        picture.save(label / f"{place}.png")
        picture.resize((31, 31)).save(label / f"{place}-again.jpg", quality=70)
        files += [label / f"{place}.png", label / f"{place}-again.jpg"]
    groups = alike_groups(np.stack([signature(Image.open(file)) for file in files]))
    assert len(set(groups)) == 30
    assert (groups[::2] == groups[1::2]).all()
    labels = [file.parent.name for file in files]
    held = draw_held_out(labels, groups, 0.3, seed=0)
    assert held.sum() == 16  # 9 of each label, of which pairs fill 8
    assert (held[::2] == held[1::2]).all()
    alone = draw_held_out(labels, np.arange(60), 0.3, seed=0)
    assert (alone[::2] != alone[1::2]).any()


def test_groups_do_not_depend_on_how_many_pairs_are_held_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)
    steps = rng.integers(0, 28, size=(300, 1)) * 9 + rng.integers(0, 3, size=(300, 192))
    blank = rng.integers(250, 256, size=(300, 192))  # all near to each other
    signatures = rng.permutation(np.concatenate([steps, blank, blank[:40]])).astype(np.uint8)
    near = cdist(signatures, signatures, "sqeuclidean") < ALIKE**2 * 192
    count, expected = connected_components(near, directed=False)
    assert 10 < count < 40
    held: list[int] = []
    joined = holdout._joined
    monkeypatch.setattr(holdout, "_joined", lambda *a: held.append(len(a[1])) or joined(*a))
    for most in (2**30, 20_000):
        monkeypatch.setattr(holdout, "PAIRS", most)
        groups = alike_groups(signatures)
        _, first = np.unique(expected, return_index=True)
        assert len(set(groups)) == count
        assert (groups == groups[first][expected]).all()
    assert max(held[1:]) <= holdout.FEWEST * 600 < held[0]


def slowly_held_out(labels: list[str], groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """As `draw_held_out`, with a look at all pictures for every group."""
    rng, held = np.random.default_rng([seed, 23]), np.zeros(len(labels), bool)
    own: dict[str, list[int]] = {}
    for group in dict.fromkeys(groups.tolist()):
        own.setdefault(labels[int(np.argmax(groups == group))], []).append(group)
    counts = {label: int(np.isin(groups, its).sum()) for label, its in own.items()}
    quotas = holdout._quotas(counts, share, rng)
    for label, its in own.items():
        room, left = quotas[label], len(its)
        for group in rng.permutation(its):
            members = np.flatnonzero(groups == group)
            if len(members) <= room and left > 1:
                held[members] = True
                room, left = room - len(members), left - 1
    return held


def test_the_same_pictures_are_drawn_as_by_the_slow_way() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        groups = rng.permutation(60)[rng.integers(0, 60, size=90)] * 7
        labels = [f"label {n}" for n in rng.integers(0, 5, size=90)]
        held = draw_held_out(labels, groups, 0.2, seed)
        assert 0 < held.sum() < 30
        assert (held == slowly_held_out(labels, groups, 0.2, seed)).all()


def test_many_groups_take_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    found = np.flatnonzero
    monkeypatch.setattr(np, "flatnonzero", lambda a: looks.append(len(a)) or found(a))
    draw_held_out(["a", "b"] * 500, np.arange(1000), 0.1, seed=0)
    assert sum(looks) <= 1000


def test_no_label_loses_all_its_pictures() -> None:
    held = draw_held_out(["a", "b", "c", "c"], np.arange(4), 0.5, seed=0)
    assert list(held[:2]) == [False, False]
    assert held[2:].sum() == 1


def test_a_column_names_the_held_out_pictures(folder: Path) -> None:
    lines = "".join(f"thing 0/{place}.png,test\n" for place in range(3))
    (folder / "metadata.csv").write_text("file_name,split\n" + lines, "utf-8")
    found = splits(ListedSource(FolderListing(folder), hold_out=None))
    assert {n for n, s in found.items() if s == "heldout"} == {f"thing 0/{n}.png" for n in range(3)}
    with pytest.raises(InputError, match="leave --hold-out out"):
        splits(ListedSource(FolderListing(folder), hold_out=0.1))
    (folder / "metadata.csv").write_text("file,split\nthing 0/0.png,maybe\n", "utf-8")
    with pytest.raises(InputError, match="split 'maybe'"):
        splits(ListedSource(FolderListing(folder)))


def test_a_second_folder_is_held_out(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    for place in range(4):
        (tmp_path / "others" / f"thing {place}").mkdir(parents=True)
        photograph(100 + place).save(tmp_path / "others" / f"thing {place}" / "other.png")
    lines: list[str] = []
    settings = settings_for(
        tmp_path / "out", tiny_model, folder,
        images=str(folder), held_out=str(tmp_path / "others"), layers="2",
    )  # fmt: skip
    bundle = Bundle.open(build(settings, lines.append))
    table = bundle.pictures.table
    assert (table["split"] == "corpus").sum() == 40
    assert list(table["name"][40:]) == [f"thing {n}/other.png" for n in range(4)]
    assert bundle.manifest.images["held_out_folder"] == str((tmp_path / "others").resolve())
    assert any(line.startswith("holding out 4 of 44 pictures") for line in lines)


def test_two_ways_to_hold_out_are_one_too_many(folder: Path, tiny_store: Path) -> None:
    with pytest.raises(InputError, match="--hold-out or --held-out"):
        open_source(str(folder), tiny_store, hold_out=0.1, held_out=str(folder))
    with pytest.raises(InputError, match="for folders of pictures"):
        open_source(f"store:{tiny_store}", tiny_store, hold_out=0.1)


def test_twenty_copies_of_one_picture_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    for place in range(20):
        (tmp_path / "in" / "ab"[place % 2]).mkdir(parents=True, exist_ok=True)
        photograph(0).save(tmp_path / "in" / "ab"[place % 2] / f"{place}.png")
    settings = settings_for(tmp_path / "out", tiny_model, tmp_path, images=str(tmp_path / "in"))
    with pytest.raises(InputError, match="20 pictures of in are copies of one picture"):
        build(settings, lambda line: None)
    photograph(1).save(tmp_path / "in" / "a" / "other.png")
    settings = settings_for(
        tmp_path / "b", tiny_model, tmp_path, images=str(tmp_path / "in"), layers="2"
    )
    assert Bundle.open(build(settings, lambda line: None)).manifest.counts["images"] == 21
