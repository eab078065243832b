"""Evidence: the paper's claims, measured on this bundle."""

from explorer.ui.evidence import sections as evidence
from explorer.ui.shell import frame

with frame.page("evidence") as page:
    claim, problems = evidence.read_claim(page)
    frame.show_problems(page.problems + problems)
    evidence.body(page, claim)
