"""Finding: one finding, to read, edit and share."""

from explorer.ui.findings import view as finding_view
from explorer.ui.shell import frame

page = frame.begin("finding")
frame.show_problems(page.problems)
finding_view.body(page)
