"""Collection: findings in an order, or the polysemy report of a bundle."""

from explorer.ui.findings import collection as collection_view
from explorer.ui.shell import frame

page = frame.begin("collection")
frame.show_problems(page.problems)
collection_view.body(page)
