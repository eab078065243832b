"""Two bundles: which neurons of the first the second has too, and which changed."""

from explorer.ui.bundles import sections as bundles
from explorer.ui.shell import frame
from explorer.ui.widgets import save_finding

with frame.page("bundles") as page:
    bundles.body(page)
    save_finding.of_view(page, "Two bundles")
