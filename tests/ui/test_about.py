"""The model card on the About page: anyone's text, read and nothing more."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.bundle import MODEL_FOLDER
from explorer.ui.data import loaders
from tests.support.altered import linked_copy, reseal
from tests.support.app import html_of, run_page

CARD = """---
license: mit
tags: [clip]
---
# Odd model

![who reads this](https://tracker.example/pixel.png) <img src="https://tracker.example/raw.png">

```sh
# install
pip install odd
```

## Figures

| set | recall |
| --- | --- |
| unseen | 0.5 |
"""


def test_a_foreign_card_fetches_nothing_and_keeps_its_code(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bugs: its pictures told their server who reads it; comments in code became headings."""
    folder = linked_copy(tiny_bundle, tmp_path / "odd")
    (folder / MODEL_FOLDER).mkdir(exist_ok=True)
    card = folder / MODEL_FOLDER / "README.md"
    card.unlink(missing_ok=True)
    card.write_text(CARD, "utf-8")
    reseal(folder)
    monkeypatch.setenv(loaders.FOLDER_VARIABLE, str(tmp_path))
    app = run_page("about")
    assert not app.markdown
    html = html_of(app).split('class="note"')[1].split("</table>")[0]
    assert "<img" not in html and ">who reads this</a>" in html
    assert "<h3>Odd model</h3>" in html and "<h4>Figures</h4>" in html
    assert "># install\npip install odd\n</code>" in html
    assert "<td>unseen</td>" in html
    assert "license" not in html.split("<h3>")[0]
