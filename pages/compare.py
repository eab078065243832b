"""Compare: up to four pinned neurons side by side."""

from explorer.ui.compare import sections as compare
from explorer.ui.shell import frame
from explorer.ui.widgets import picture_choice, save_finding

page = frame.begin("compare")
image, problems = picture_choice.read_image(page)
frame.show_problems(page.problems + problems)
compare.body(page, image)
save_finding.of_view(page, "Compare")
