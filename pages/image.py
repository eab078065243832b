"""Image: one picture under the lens, its concepts and neurons, and where texts come from."""

from explorer.ui.data.image_query import read_query
from explorer.ui.image import sections as image
from explorer.ui.shell import frame
from explorer.ui.widgets import save_finding

with frame.page("image") as page:
    query, problems = read_query(page.params, page.view)
    frame.show_problems(page.problems + problems)
    query = image.remembered(query)
    source = image.choose(page, query)
    if source is not None:
        image.study(page, query, source)
    save_finding.of_view(page, "An image under the lens")
