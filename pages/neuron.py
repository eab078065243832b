"""Neuron: what one neuron means, and which pictures say so."""

from explorer.ui.neuron import sections as neuron
from explorer.ui.shell import frame

page = frame.begin("neuron")
row, problems = neuron.read_row(page)
frame.show_problems(page.problems + problems)
neuron.heading(page, row)
neuron.body(page, row)
neuron.similar(page.view, row)
