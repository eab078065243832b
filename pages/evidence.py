"""Evidence: the paper's claims, measured on this bundle."""

from explorer.ui import evidence, frame

page = frame.begin("evidence")
claim, problems = evidence.read_claim(page)
frame.show_problems(page.problems + problems)
evidence.body(page, claim)
