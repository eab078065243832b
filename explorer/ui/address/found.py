"""The parameter `of` of pages that show neurons, or their pairs with later heads: pure."""

from __future__ import annotations

from collections.abc import Mapping

OF = "of"
NEURONS, HEADS = "neurons", "heads"
FOUND = {NEURONS: "Neurons", HEADS: "Neurons and heads"}


def read_found(params: Mapping[str, str], unpaired: str, problems: list[str]) -> str:
    """Read whether neurons or their pairs with heads are shown; `unpaired`: why there are none."""
    of = params.get(OF, NEURONS)
    if of not in FOUND:
        problems.append(f"“{of}” is nothing to show here: write {' or '.join(FOUND)}.")
        return NEURONS
    if of == HEADS and unpaired:
        problems.append(f"{unpaired} Neurons are shown.")
        return NEURONS
    return of


def write_found(of: str) -> str:
    """Write it as an address holds it; neurons are usual."""
    return "" if of == NEURONS else of
