"""Atlas: all neurons on one map, near each other where their directions agree."""

from explorer.ui import atlas, frame, save_finding

page = frame.begin("atlas")
query, problems = atlas.read_query(page)
frame.show_problems(page.problems + problems)
atlas.toolbar(page, query)
atlas.chart(page, query)
atlas.chosen(page, query)
save_finding.of_view(page, "The atlas")
