"""What a visitor sees of an error that no page caught; its trace is in the server's log.

A visitor who leaves in the middle of an upload is no error.
"""

from __future__ import annotations

import streamlit as st
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

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


async def left(_request: Request, _error: Exception) -> Response:
    """Answer one who has left; nobody hears it, and the log keeps no trace."""
    return Response(status_code=400)


HANDLERS = {ClientDisconnect: left}
