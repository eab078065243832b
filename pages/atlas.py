"""Atlas: all neurons on one map, near each other where their directions agree."""

from explorer.ui.address.atlas_query import read_atlas
from explorer.ui.atlas import sections as atlas
from explorer.ui.shell import frame
from explorer.ui.widgets import save_finding

with frame.page("atlas") as page:
    query, problems = read_atlas(page.params, page.view.layers, page.view.has, page.view.usual)
    frame.show_problems(page.problems + problems)
    atlas.toolbar(page, query)
    atlas.chart(page, query)
    atlas.chosen(page, query)
    save_finding.of_view(page, "The atlas")
