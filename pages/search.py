"""Search: neurons by texts with + and −, or by a picture."""

from explorer.ui.address.search_query import read_search
from explorer.ui.search import sections as search
from explorer.ui.shell import frame
from explorer.ui.widgets import save_finding

with frame.page("search") as page:
    view = page.view
    query, problems = read_search(page.params, len(view.labels), view.sieved, view.unpaired)
    frame.show_problems(page.problems + problems)
    search.toolbar(page, query)
    search.results(page, query)
    save_finding.of_view(page, "Search")
