"""Compare: up to four pinned neurons side by side."""

from explorer.ui.address.address import read_picture
from explorer.ui.compare import sections as compare
from explorer.ui.shell import frame
from explorer.ui.widgets import save_finding

with frame.page("compare") as page:
    image, problems = read_picture(page.params, len(page.view.labels))
    frame.show_problems(page.problems + problems)
    compare.body(page, image)
    save_finding.of_view(page, "Compare")
