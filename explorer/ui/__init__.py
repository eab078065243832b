"""The app. With pages/ the only code on Streamlit.

Each layer imports only those before it:

    core      look, names of measures, who may come in
    address   what an address says: pure functions from and to query parameters
    data      bundles, and what is derived from them; no drawing
    html      pieces of HTML (`Markup`) and plots
    shell     what every page starts with; beside it server: its start, the files it sends
    widgets   controls that several pages use
    home … about   one folder per page, none of which imports another
"""
