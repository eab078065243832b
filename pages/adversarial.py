"""Adversarial: pictures of one class, with unrelated things added, that are taken for another."""

from explorer.ui import adversarial, frame, save_finding
from explorer.ui.adversarial_query import read_attack

page = frame.begin("adversarial")
reading = read_attack(page.params, page.view)
frame.show_problems(page.problems + reading.problems)
adversarial.body(page, reading.query)
save_finding.of_view(page, "Adversarial pictures")
