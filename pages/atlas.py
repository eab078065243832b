"""Atlas: all neurons, or their pairs with heads, on one map, by their directions."""

from explorer.ui.address.atlas_query import read_atlas
from explorer.ui.atlas import sections as atlas
from explorer.ui.shell import frame
from explorer.ui.widgets import save_finding

with frame.page("atlas") as page:
    view = page.view
    query, problems = read_atlas(page.params, view.layers, view.has, view.usual, view.unpaired)
    frame.show_problems(page.problems + problems)
    atlas.toolbar(page, query)
    atlas.chart(page, query)
    atlas.chosen(page, query)
    save_finding.of_view(page, "The atlas")
