"""Addresses of the Search page: pure, like `address`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from explorer.ui.address.address import (
    ABOVE,
    IMAGE,
    read_above,
    read_page,
    read_picture,
    write_above,
)
from explorer.ui.address.found import HEADS, NEURONS, OF, read_found, write_found

TEXT, PICTURE = "text", "picture"
MODES = {TEXT: "Texts", PICTURE: "A picture"}
TOWARDS, AWAY, SETS, BOTH, LABELS = "towards", "away", "sets", "both", "labels"
SHOWN = {
    TOWARDS: "Towards it",
    AWAY: "Away from it",
    SETS: "In its set",
    LABELS: "In its pictures’ labels",
    BOTH: "Carries all",
}
OF_HEADS = (TOWARDS, AWAY, SETS)
"""Kinds of results that there are of pairs of a neuron and a head."""
EFFECT, RELATIVE = "effect", "relative"
BY = {EFFECT: "By effect", RELATIVE: "By effect ÷ typical effect"}
TRUSTED, PLAIN = "trusted", "plain"
RANKS = {TRUSTED: "Shown in pictures first", PLAIN: "By score alone"}


@dataclass(frozen=True)
class SearchQuery:
    """What the page shows."""

    mode: str = TEXT
    text: str = ""
    image: int | None = None
    show: str = ""  # a key of SHOWN, or the usual one
    by: str = EFFECT
    rank: str = TRUSTED
    page: int = 1
    above: bool = False
    """Whether only neurons that are more than chance are found."""
    usually: bool = False
    """Whether that is usual in this bundle."""
    of: str = NEURONS
    """A key of FOUND: what is found."""

    def params(self) -> dict[str, str]:
        """Return the query as address parameters, defaults left out."""
        picture = self.mode == PICTURE
        values = {
            "q": "" if picture else self.text,
            "mode": PICTURE if picture and self.image is None else "",
            IMAGE: str(self.image) if picture and self.image is not None else "",
            OF: write_found(self.of),
            "show": self.show,
            "by": self.by if picture and self.by != EFFECT else "",
            "rank": "" if picture or self.rank == TRUSTED else self.rank,
            ABOVE: write_above(self.above, self.usually),
            "page": str(self.page) if self.page > 1 else "",
        }
        return {key: value for key, value in values.items() if value}


def read_search(
    params: Mapping[str, str], pictures: int, usually: bool = False, unpaired: str = ""
) -> tuple[SearchQuery, list[str]]:
    """Read the address; what can't be read is left out and named.

    `pictures` is their number, `usually` whether only neurons above chance are found unless told;
    of pairs it is only those, unless told. `unpaired` says why there are no pairs, if so.
    """
    image, problems = read_picture(params, pictures)
    text = " ".join(params.get("q", "").split())
    mode = params.get("mode", PICTURE if params.get(IMAGE) and not text else TEXT)
    if mode not in MODES:
        problems.append(f"“{mode}” is not a way to search: write text or picture.")
        mode = TEXT
    if text and image is not None:
        problems.append("The address names texts and a picture: only one is searched for.")
    of = read_found(params, unpaired, problems)
    show, by = params.get("show", ""), params.get("by", EFFECT)
    kinds = OF_HEADS if of == HEADS else tuple(SHOWN)
    if show and show not in kinds:
        problems.append(f"“{show}” is not a kind of result. Possible: {', '.join(kinds)}.")
        show = ""
    if by not in BY:
        problems.append(f"“{by}” is not an order. Possible: {', '.join(BY)}.")
        by = EFFECT
    rank = params.get("rank", TRUSTED)
    if rank not in RANKS:
        problems.append(f"“{rank}” is not a ranking. Possible: {', '.join(RANKS)}.")
        rank = TRUSTED
    number = read_page(params.get("page", ""), problems)
    usually = usually or of == HEADS
    above = read_above(params, usually, problems, usually)
    return SearchQuery(mode, text, image, show, by, rank, number, above, usually, of), problems
