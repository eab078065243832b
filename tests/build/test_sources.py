"""Folders of pictures that people really have."""

import pytest
from PIL import Image

from explorer.build.sources import FolderSource
from explorer.errors import InputError


def folder(path):
    Image.new("RGB", (12, 8), "red").save(path / "good.png")
    return FolderSource(path, "mine")


def test_a_decompression_bomb_is_skipped_and_named(tmp_path, monkeypatch):
    source = folder(tmp_path)
    Image.new("RGB", (60, 60), "blue").save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    labels = [facts["label"] for facts, _ in source.rows(8)]
    assert labels == ["good"]
    assert [line.split(":")[0] for line in source.skipped] == ["huge.png"]


def test_metadata_in_another_encoding_is_refused_with_the_remedy(tmp_path):
    source = folder(tmp_path)
    (tmp_path / "metadata.csv").write_bytes(b"file,label\ngood.png,caf\xe9\n")
    with pytest.raises(InputError, match="UTF-8"):
        list(source.rows(8))


def test_metadata_names_pictures(tmp_path):
    source = folder(tmp_path)
    (tmp_path / "metadata.csv").write_text("file,label,author\ngood.png,a red card,Ann\n", "utf-8")
    ((facts, _),) = source.rows(8)
    assert (facts["label"], facts["author"], facts["name"]) == ("a red card", "Ann", "good.png")
