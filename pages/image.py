"""Image: one picture under the lens, its concepts and neurons, and where texts come from."""

from explorer.ui import frame, image, save_finding
from explorer.ui.image_query import read_image

page = frame.begin("image")
reading = read_image(page.params, page.view)
frame.show_problems(page.problems + reading.problems)
source = image.choose(page, reading.query)
if source is not None:
    image.study(page, reading.query, source)
save_finding.of_view(page, "An image under the lens")
