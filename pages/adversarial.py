"""Adversarial: pictures of one class, with unrelated things added, that are taken for another."""

from explorer.ui.address.attack_query import read_attack
from explorer.ui.adversarial import sections as adversarial
from explorer.ui.shell import frame
from explorer.ui.widgets import save_finding

with frame.page("adversarial") as page:
    query, problems = read_attack(page.params)
    frame.show_problems(page.problems + problems)
    adversarial.body(page, query)
    save_finding.of_view(page, "Adversarial pictures")
