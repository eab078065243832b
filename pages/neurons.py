"""Neurons: the gallery, filtered and sorted as the address says."""

from explorer.ui import frame, gallery, save_finding
from explorer.ui.address import read_neurons

page = frame.begin("neurons")
reading = read_neurons(page.params, page.view.layers, page.view.has)
frame.show_problems(page.problems + reading.problems)
gallery.toolbar(page, reading.query)
gallery.results(page, reading.query)
save_finding.of_view(page, "Neurons")
