"""Collection: findings in an order, or the polysemy report of a bundle."""

from explorer.ui import collection_view, frame

page = frame.begin("collection")
frame.show_problems(page.problems)
collection_view.body(page)
