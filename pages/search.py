"""Search: neurons by texts with + and −, or by a picture."""

from explorer.ui.search import sections as search
from explorer.ui.shell import frame
from explorer.ui.widgets import save_finding

page = frame.begin("search")
query, problems = search.read_query(page)
frame.show_problems(page.problems + problems)
search.toolbar(page, query)
search.results(page, query)
save_finding.of_view(page, "Search")
