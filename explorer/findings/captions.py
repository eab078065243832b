"""Words and numbers that stand beside a neuron, in the same form in every export."""

from __future__ import annotations

from explorer.findings.snapshot import NeuronShot


def neuron_name(shot: NeuronShot) -> str:
    """Return what a neuron is called."""
    return f"Layer {shot.layer} · Neuron {shot.neuron:,}"


def measures(shot: NeuronShot) -> list[str]:
    """Return each measure's name and value."""
    return [f"{name.replace('_', ' ')} {value:.2f}" for name, value in shot.measures.items()]


def signed(value: float) -> str:
    """Return a weight with its sign and two decimals."""
    return f"{value:+.2f}".replace("-", "−")


def effect(value: float) -> str:
    """Return an effect with its sign and three digits."""
    return f"{value:+#.3g}".rstrip(".").replace("-", "−")
