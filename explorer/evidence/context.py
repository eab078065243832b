"""What the sections share: bundle, model, pictures, judge, means, and the one lens pass."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from explorer.bundle import Bundle
from explorer.errors import InputError
from explorer.evidence.evaluation import EvaluationSet, Judge, open_evaluation
from explorer.evidence.lenspass import LayerTables, LayerView, PassBatch, Probe
from explorer.evidence.reference import Reference, gather_reference
from explorer.evidence.settings import EvidenceSettings
from explorer.evidence.work import Work, stream
from explorer.lens import trace
from explorer.lens.models import LoadedModel, encode_texts
from explorer.resumable import Arrays, Say

PASS = "lens pass"


class Context:
    """Everything a section may ask for; each thing is made when first asked for."""

    def __init__(self, bundle: Bundle, settings: EvidenceSettings, work: Work, say: Say) -> None:
        """Keep what a measurement is made of; nothing is computed yet."""
        self.bundle, self.settings, self.work, self.say = bundle, settings, work, say
        self.probes: dict[str, Probe] = {}

    @cached_property
    def loaded(self) -> LoadedModel:
        """The bundle's model."""
        return self.bundle.load_model(device=self.settings.device, dtype=self.settings.dtype)

    @cached_property
    def evaluation(self) -> EvaluationSet:
        """The pictures to classify."""
        return open_evaluation(self.bundle, self.settings)

    @cached_property
    def judge(self) -> Judge:
        """The judge of their classification."""
        return Judge.of(self.loaded, self.evaluation)

    @cached_property
    def layers(self) -> list[int]:
        """The bundle's layers, rising."""
        return sorted(self.bundle.manifest.layers)

    @cached_property
    def tables(self) -> dict[int, LayerTables]:
        """Each layer's tables."""
        self.say("preparing the layers' paths")
        return {n: LayerTables.of(self.bundle, self.loaded.model, n) for n in self.layers}

    @cached_property
    def alive(self) -> np.ndarray:
        """[neuron] bool: has a direction."""
        found: np.ndarray = np.any(np.asarray(self.bundle.directions) != 0, axis=1)
        return found

    @cached_property
    def kind_neurons(self) -> list[tuple[int, int]]:
        """(layer, neuron) drawn at random among the living ones of the last layer."""
        rng = np.random.default_rng([self.settings.seed, 3])
        layers = self.bundle.neurons["layer"].to_numpy()
        if not self.alive.any():
            raise InputError(f"No neuron of the bundle '{self.bundle.name}' has a direction.")
        last = int(layers[self.alive].max())
        inside = np.flatnonzero(layers == last)
        neurons = np.flatnonzero(self.alive[inside])
        count = min(len(neurons), self.settings.kind_neurons)
        drawn = rng.choice(neurons, count, replace=False)
        return [(last, int(neuron)) for neuron in sorted(drawn)]

    @cached_property
    def reference(self) -> Reference:
        """Means over a sample of the corpus."""
        return gather_reference(
            self.bundle,
            self.loaded,
            list(self.tables.values()),
            self.kind_neurons,
            self.settings.means,
            self.settings.batch_size,
            self.settings.seed,
            self.work,
            self.say,
        )

    @property
    def atoms(self) -> np.ndarray:
        """[text, embed] float32: the dictionary's atoms."""
        return self.bundle.dictionary.atoms()

    @cached_property
    def label_atoms(self) -> np.ndarray:
        """[image, embed] float32: each evaluation picture's label as an atom."""
        names = self.evaluation.candidates
        atoms: np.ndarray = self.bundle.dictionary.centre(encode_texts(self.loaded, names).numpy())
        found: np.ndarray = atoms[self.evaluation.answers]
        return found

    @cached_property
    def embeddings(self) -> Tensor:
        """[image, embed] float32 unit: the model's own embeddings of the evaluation pictures."""
        return torch.nn.functional.normalize(
            torch.from_numpy(self.record("effects")["representation"]).float(), dim=1
        )

    def record(self, name: str) -> Arrays:
        """Return what the probe of a section kept of the lens pass."""
        marker = f"{name}/"
        found = self._pass
        return {k.removeprefix(marker): v for k, v in found.items() if k.startswith(marker)}

    def conditions(self) -> dict[str, Any]:
        """Return what every result says of its making."""
        return {
            **self.evaluation.conditions(),
            "seed": self.settings.seed,
            "dtype": self.settings.dtype,
            "ablation": "effects replaced by their means over the build's pictures",
        }

    @cached_property
    def _pass(self) -> Arrays:
        layers, tables = self.layers, self.tables

        def take(places: range) -> Mapping[str, np.ndarray]:
            images = slice(places.start, places.stop)
            record = trace(self.loaded.model, self.evaluation.pixels(self.loaded, places), layers)
            views = [LayerView(tables[layer], record, images) for layer in layers]
            batch = PassBatch(images, record.representation.float().cpu(), views)
            return {
                f"{name}/{key}": values
                for name, probe in self.probes.items()
                for key, values in probe.take(batch).items()
            }

        size = self.settings.batch_size
        return stream(self.work, PASS, len(self.evaluation), size, take, self.say)
