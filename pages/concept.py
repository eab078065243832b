"""Concept: a text, the texts near it, the neurons that write it, its pictures."""

from explorer.ui.concept import sections as concept
from explorer.ui.shell import frame
from explorer.ui.widgets import save_finding

with frame.page("concept") as page:
    frame.show_problems(page.problems)
    concept.body(page)
    save_finding.of_view(page, "Concept")
