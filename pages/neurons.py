"""Neurons: the gallery, filtered and sorted as the address says."""

from explorer.ui.address.address import read_neurons
from explorer.ui.neurons import gallery
from explorer.ui.shell import frame
from explorer.ui.widgets import save_finding

with frame.page("neurons") as page:
    reading = read_neurons(page.params, page.view.layers, page.view.has, page.view.usual)
    frame.show_problems(page.problems + reading.problems)
    gallery.toolbar(page, reading.query)
    gallery.results(page, reading.query)
    save_finding.of_view(page, "Neurons")
