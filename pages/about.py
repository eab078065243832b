"""About & credits: what this bundle was made of, by whom, and whether it is whole."""

from explorer.ui import about, frame

page = frame.begin("about")
frame.show_problems(page.problems)
about.summary(page.view)
about.verification(page.view)
about.credits_table(page.view)
about.settings(page.view)
about.model_card(page.view)
about.build_another()
