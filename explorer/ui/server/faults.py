"""What a visitor sees of an error that no page caught; its trace is in the server's log."""

from __future__ import annotations

import streamlit as st

from explorer.errors import ExplorerError
from explorer.ui.html.elements import block, notice

UNFORESEEN = (
    "This part of the page could not be drawn, which is a fault of the explorer's: its log says "
    "where. Reload the page; if it stays so, check the bundle with 'python -m explorer verify'."
)


def show(error: Exception) -> bool:
    """Show one sentence in place of Streamlit's box; return that it was shown."""
    st.html(block(notice(str(error) if isinstance(error, ExplorerError) else UNFORESEEN)))
    return True
