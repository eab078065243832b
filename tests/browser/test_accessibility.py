"""What axe-core finds on the pages: nothing serious, wide and light; on some, narrow and dark."""

from __future__ import annotations

import pytest

from tests.support.browser import Visit

axe = pytest.importorskip("axe_playwright_python.sync_playwright")

PAGES = {
    "home": ("?bundle=told", "What does a neuron of CLIP mean?"),
    "neurons": ("neurons?bundle=told", "Neurons"),
    "table": ("neurons?bundle=told&view=table", "Neurons"),
    "neuron": ("neuron?bundle=told&layer=1&neuron=4", "Layer 1 · Neuron 4"),
    "texts": ("neuron?bundle=told&layer=1&neuron=4&more=texts", "Layer 1 · Neuron 4"),
    "concept": ("concept?bundle=told&text=red", "“red”"),
    "search": ("search?bundle=told&q=red", "Search"),
    "pairs": ("search?bundle=told&q=red&of=heads", "Search"),
    "atlas": ("atlas?bundle=told", "Atlas"),
    "pairs on the map": ("atlas?bundle=told&of=heads&at=1.5@2.0", "Atlas"),
    "heads": ("neuron?bundle=told&layer=1&neuron=4&more=heads", "Layer 1 · Neuron 4"),
    "image": ("image?bundle=tiny&image=3&texts=red%2Cblue", "An image under the lens"),
    "compare": ("compare?bundle=told&pins=1.4,1.5,2.7,1.5@2.0&image=3", "Compare"),
    "bundles": ("bundles?bundle=told&other=tiny", "Two bundles"),
    "adversarial": (
        "adversarial?bundle=tiny&source=blue+square&target=red+circle&seed=3",
        "Adversarial pictures from polysemy",
    ),
    "evidence": ("evidence?bundle=tiny", "Evidence"),
    "findings": ("findings?bundle=tiny", "Findings"),
    "about": ("about?bundle=tiny", "About & credits"),
}
NARROW = ("home", "neurons", "neuron", "image", "evidence")
"""What a phone and the dark are tried on too."""
GRAVE = {"serious", "critical"}


@pytest.mark.parametrize(
    ("name", "visit"),
    [(name, (1440, "light")) for name in PAGES] + [(name, (390, "dark")) for name in NARROW],
    indirect=["visit"],
    ids=str,
)
def test_axe_finds_nothing_serious(name: str, visit: Visit) -> None:
    visit.open(*PAGES[name])
    found = axe.Axe().run(visit.page)
    grave = [
        f"{broken['id']}: {broken['help']}: {node['html'][:200]} {node['target']}"
        for broken in found.response["violations"]
        if broken["impact"] in GRAVE
        for node in broken["nodes"]
    ]
    assert not grave, "\n".join(grave)
