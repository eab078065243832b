"""Finding: one finding, to read, edit and share."""

from explorer.ui.findings import finding
from explorer.ui.shell import frame

with frame.page("finding") as page:
    frame.show_problems(page.problems)
    finding.body(page)
