"""The explorer's page registry: `streamlit run app.py`."""

import streamlit as st

from explorer.ui.address import PAGES

st.navigation(
    [st.Page(file, default=name == "home") for name, file in PAGES.items()], position="hidden"
).run()
