"""Words and numbers that stand beside a neuron, in the same form in every export."""

from __future__ import annotations

from explorer import formats
from explorer.findings.snapshot import NeuronShot


def neuron_name(shot: NeuronShot) -> str:
    """Return what a neuron is called."""
    return f"Layer {shot.layer} · Neuron {shot.neuron:,}"


def measures(shot: NeuronShot) -> list[str]:
    """Return each measure's name and value."""
    return [
        f"{name.replace('_', ' ')} {formats.number(value)}" for name, value in shot.measures.items()
    ]
