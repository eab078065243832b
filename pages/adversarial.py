"""Adversarial: pictures of one class, with unrelated things added, that are taken for another."""

from explorer.ui.adversarial import sections as adversarial
from explorer.ui.data.adversarial_query import read_attack
from explorer.ui.shell import frame
from explorer.ui.widgets import save_finding

page = frame.begin("adversarial")
reading = read_attack(page.params, page.view)
frame.show_problems(page.problems + reading.problems)
adversarial.body(page, reading.query)
save_finding.of_view(page, "Adversarial pictures")
