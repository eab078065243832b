"""Finding: one finding, to read, edit and share."""

from explorer.ui import finding_view, frame

page = frame.begin("finding")
frame.show_problems(page.problems)
finding_view.body(page)
