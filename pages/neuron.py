"""Neuron: what one neuron means, and which pictures say so."""

from explorer.ui.data.neuron import read_neuron
from explorer.ui.neuron import sections
from explorer.ui.shell import frame

with frame.page("neuron") as page:
    neuron, problems = read_neuron(page.params, page.view)
    frame.show_problems(page.problems + problems)
    sections.draw(page, neuron)
