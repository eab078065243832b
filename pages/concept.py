"""Concept: a text, the texts near it, the neurons that write it, its pictures."""

from explorer.ui import concept, frame, save_finding

page = frame.begin("concept")
frame.show_problems(page.problems)
concept.body(page)
save_finding.of_view(page, "Concept")
