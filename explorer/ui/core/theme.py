"""The app's look: colours, style sheet, drawings.

Every colour is a pair for light and dark mode. Streamlit sets `color-scheme` on the app, so CSS
takes the right one itself and a page need not know the mode.
"""

from __future__ import annotations

from pathlib import Path

from explorer.palette import CLUSTER_COLOURS

ACCENT = "#6f64e0"  # between the light and the dark accent: for charts, which have one colour

FAVICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<rect width="32" height="32" rx="8" fill="#5146c9"/>'
    '<path d="M8 16 H13 M13 16 L20 9 M13 16 L20 23" stroke="#fff" stroke-width="2" fill="none"/>'
    '<circle cx="8" cy="16" r="3.4" fill="#fff"/><circle cx="22" cy="8" r="3.4" fill="#E69F00"/>'
    '<circle cx="22" cy="24" r="3.4" fill="#56B4E9"/></svg>'
)

_CLUSTER_RULES = "\n".join(
    f".c{number} {{ --cluster: {colour}; }}" for number, colour in enumerate(CLUSTER_COLOURS)
)

_HERE = Path(__file__).parent
_SHEETS = ((_HERE / name).read_text("utf-8") for name in ("streamlit.css", "style.css"))
STYLE = "\n".join([*_SHEETS, _CLUSTER_RULES])
PATH_DRAWING = (_HERE / "path.svg").read_text("utf-8")
