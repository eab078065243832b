"""About & credits: what this bundle was made of, by whom, and whether it is whole."""

from explorer.ui.about import sections as about
from explorer.ui.shell import frame
from explorer.ui.widgets import save_finding

with frame.page("about") as page:
    frame.show_problems(page.problems)
    about.summary(page.view)
    save_finding.of_view(page, f"About the bundle {page.view.key}")
    about.verification(page.view)
    about.credits_table(page.view)
    about.settings(page.view)
    about.model_card(page.view)
    about.build_another()
