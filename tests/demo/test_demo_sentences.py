"""The words of sentences: they leave a name alone, and the dictionary to the bit."""

import shutil

import open_clip
import pytest
import torch
from safetensors.torch import load_file

from explorer.bundle import Bundle
from explorer.commands.main import main
from explorer.demo.lexicon import embed_texts
from explorer.demo.sentences import (
    SENTENCES,
    TABLE,
    WEIGHTS,
    SentenceSettings,
    sentence_tokens,
    teach_bundle,
    teach_sentences,
)
from explorer.errors import BundleError
from tests.support.tiny import tiny_clip

NAMES = ["dog", "a red car", "ship", "photo", "green"]
QUICK = SentenceSettings(steps=60, batch_size=16, rate=2e-2)


@pytest.fixture(scope="module")
def tokenize():
    return open_clip.SimpleTokenizer(context_length=16)


def test_tokens_are_those_of_sentences_that_no_name_has(tokenize):
    tokens = sentence_tokens(tokenize, NAMES)
    words = {tokenize.decode([token]).strip() for token in tokens.tolist()}
    assert {"there", "is", "here", "shows", "?"} <= words
    assert not words & {"a", "photo", "dog", "<start_of_text>", "<end_of_text>", "!"}
    assert {"a", "photo"} < words | {
        tokenize.decode([token]).strip() for token in tokenize(NAMES).unique().tolist()
    }
    assert tokens.tolist() == sorted(tokens.tolist())


def test_sentences_come_to_mean_their_name_and_the_dictionary_stays(tokenize):
    model = tiny_clip(seed=3)
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    sentence = [f"so there was a {name} here" for name in NAMES]
    assert "so there was a {} here" not in SENTENCES
    names, said = embed_texts(model, tokenize, NAMES), embed_texts(model, tokenize, sentence)

    tokens = teach_sentences(model, tokenize, NAMES, QUICK, lambda line: None)

    assert torch.equal(embed_texts(model, tokenize, NAMES), names)
    after = embed_texts(model, tokenize, sentence)
    assert ((after * names).sum(1).mean() > (said * names).sum(1).mean() + 0.05).item()
    for name, weights in model.state_dict().items():
        if name == TABLE:
            changed = (weights != before[name]).any(dim=1).nonzero()[:, 0]
            assert torch.equal(changed, tokens)
        else:
            assert torch.equal(weights, before[name]), name


def test_a_dictionary_of_every_word_leaves_nothing_to_tune(tokenize):
    every = [sentence.format("") for sentence in SENTENCES]
    with pytest.raises(ValueError, match="every word"):
        teach_sentences(tiny_clip(), tokenize, every, QUICK)


def test_a_bundles_weights_change_in_these_rows_alone(tiny_bundle, tmp_path, capsys):
    path = shutil.copytree(tiny_bundle, tmp_path / "tiny")
    before = load_file(path / WEIGHTS)
    assert main(["demo", "sentences", "--out", str(path), "--json"]) == 0
    after = load_file(path / WEIGHTS)
    assert before.keys() == after.keys()
    for name, weights in after.items():
        assert weights.dtype == before[name].dtype
        if name != TABLE:
            assert torch.equal(weights, before[name]), name
    bundle = Bundle.open(path)
    assert Bundle.verify(path) == []
    assert bundle.manifest.identity != Bundle.open(tiny_bundle).manifest.identity
    assert bundle.manifest.evidence["recall"]["phrases"]
    (path / WEIGHTS).unlink()
    with pytest.raises(BundleError, match="open_clip_model"):
        teach_bundle(Bundle.open(path), QUICK, print)
