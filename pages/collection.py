"""Collection: findings in an order, or the polysemy report of a bundle."""

from explorer.ui.findings import collection as collection_view
from explorer.ui.shell import frame

with frame.page("collection") as page:
    frame.show_problems(page.problems)
    collection_view.body(page)
