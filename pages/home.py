"""Overview: what this is, one striking neuron, and where to go from here."""

from explorer.ui.home import passing
from explorer.ui.home import sections as overview
from explorer.ui.shell import frame, standing
from explorer.ui.widgets import save_finding

with frame.page("home") as page:
    frame.title("Overview")
    frame.show_problems(page.problems)
    lacking = standing.what_it_lacks(page.view)
    if lacking:
        frame.draw(lacking)
    overview.introduction(page.view)
    overview.striking_neuron(page.view)
    overview.headline_figures(page.view)
    passing.section(page.view)
    overview.more_neurons(page)
    save_finding.of_view(page, "Overview")
