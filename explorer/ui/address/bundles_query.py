"""The address of the page that compares two bundles: pure, like `address`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from explorer.ui.address.address import read_page, whole

OTHER = "other"  # the second bundle, beside `bundle`
CHANGED, ALIKE = "changed", "alike"
SHOWS = {CHANGED: "Most changed", ALIKE: "Most alike"}


@dataclass(frozen=True)
class BundlesQuery:
    """What the page that compares two bundles shows."""

    other: str  # the second bundle, "" where there is none
    layer: int | None = None  # None: all layers
    show: str = CHANGED
    page: int = 1

    def params(self) -> dict[str, str]:
        """Return the query as address parameters, defaults left out."""
        values = {
            OTHER: self.other,
            "layer": "" if self.layer is None else str(self.layer),
            "show": "" if self.show == CHANGED else self.show,
            "page": str(self.page) if self.page > 1 else "",
        }
        return {key: value for key, value in values.items() if value}

    def at(self, page: int) -> BundlesQuery:
        """Return the same query on another page of neurons."""
        return replace(self, page=page)


def read_bundles(
    params: Mapping[str, str], bundle: str, found: Sequence[str]
) -> tuple[BundlesQuery, list[str]]:
    """Read the address; what cannot be read is left out and named.

    `bundle` is the first of the two, `found` are all there are. Whether the two share the layer is
    not known before they are matched (`layer_of`).
    """
    problems: list[str] = []
    show = params.get("show", "")
    if show and show not in SHOWS:
        problems.append(f"“{show}” is not a value for “show”. Possible: {', '.join(SHOWS)}.")
    layer = whole(params.get("layer", ""))
    if params.get("layer") and layer is None:
        problems.append(f"“{params['layer']}” is not a layer's number: all layers are shown.")
    query = BundlesQuery(
        other=_other(params.get(OTHER, ""), bundle, found, problems),
        layer=layer,
        show=show if show in SHOWS else CHANGED,
        page=read_page(params.get("page", ""), problems),
    )
    return query, problems


def _other(asked: str, bundle: str, found: Sequence[str], problems: list[str]) -> str:
    others = [name for name in found if name != bundle]
    if asked in others or not others:
        return asked if asked in others else ""
    if asked == bundle:
        problems.append(f"“{bundle}” is compared with “{others[0]}”: a bundle is like itself.")
    elif asked:
        problems.append(
            f"There is no bundle “{asked}” here, so “{bundle}” is compared with “{others[0]}”. "
            f"Bundles found: {', '.join(found)}."
        )
    return others[0]


def layer_of(query: BundlesQuery, shared: Sequence[int]) -> tuple[BundlesQuery, list[str]]:
    """Return the query with a layer that both bundles have, or with all; and what was wrong."""
    if query.layer is None or query.layer in shared:
        return query, []
    names = ", ".join(map(str, shared))
    said = f"Both bundles hold the layers {names}, not {query.layer}: all of them are shown."
    return replace(query, layer=None), [said]
