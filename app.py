"""The explorer's page registry: `streamlit run app.py`.

The server loads this file once for `app`, which adds the picture files to Streamlit's own routes;
then it runs the file anew for every view of a page.
"""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from explorer.ui.address.address import PAGES
from explorer.ui.server import faults, startup
from explorer.ui.server.routes import routes

if get_script_run_ctx(suppress_warning=True) is None:
    app = st.App(
        __file__,
        routes=routes(),
        lifespan=startup.lifespan,
        on_script_error=faults.show,
        exception_handlers=faults.HANDLERS,
    )
else:
    st.navigation(
        [st.Page(file, default=name == "home") for name, file in PAGES.items()], position="hidden"
    ).run()
