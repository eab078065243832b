"""Pages through Streamlit's AppTest: run one, read its HTML."""

from __future__ import annotations

from pathlib import Path

from streamlit.testing.v1 import AppTest

from explorer.ui.address import address

ROOT = Path(__file__).parents[2]
TIMEOUT = 300  # seconds; pages take a few, and machines may be busy


def html_of(app: AppTest) -> str:
    """Return all HTML that a page drew."""
    return "\n".join(element.proto.body for element in app.get("html"))


def run_page(page: str, through_app: bool = False, /, **params: str) -> AppTest:
    """Run a page alone, or through app.py, and check that nothing was raised."""
    if through_app:
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)
        app.run()
        app.switch_page(address.PAGES[page])
    else:
        app = AppTest.from_file(str(ROOT / address.PAGES[page]), default_timeout=TIMEOUT)
    for key, value in params.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception, app.exception
    return app
