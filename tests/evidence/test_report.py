"""Pages written from a bundle's manifest say what it holds, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.bundle import Manifest
from explorer.evidence import registry, report
from explorer.evidence.stored import upgraded

ROOT = Path(__file__).parents[2]
LONGEST = 120  # lines of a README that is read


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return Manifest.read(ROOT / "precomputed" / "picto")


def test_the_pages_are_those_of_the_shipped_manifest(manifest: Manifest) -> None:
    remedy = f"run `{report.COMMAND}`"
    readme = (ROOT / "README.md").read_text("utf-8")
    assert (ROOT / "docs" / "results.md").read_text("utf-8") == report.page(manifest), remedy
    assert readme == report.with_table(readme, manifest), remedy
    assert len(readme.splitlines()) <= LONGEST


def test_every_measured_claim_has_a_row_with_its_verdict(manifest: Manifest) -> None:
    evidence = upgraded(manifest.evidence)
    rows = [row.split(" | ") for row in report.table(evidence).splitlines()[2:]]
    measured = {
        claim.title: registry.judged(key, evidence).outcome
        for key, claim in registry.claims().items()
        if registry.section_of(key).name in evidence
    }
    assert {row[0].removeprefix("| "): row[1] for row in rows[1:]} == measured
    assert rows[0][0].startswith("| The model")


def test_what_was_not_measured_is_left_out(manifest: Manifest) -> None:
    content = manifest.content() | {"evidence": {"rank": manifest.evidence["rank"]}}
    only = Manifest(**content)
    text = report.page(only)
    titles = [
        claim.title for key, claim in registry.claims().items() if f"## {claim.title}" in text
    ]
    assert titles == [registry.claims()["rank"].title]
    assert report.table({}).count("\n") == 1


def test_the_table_replaces_only_what_stands_between_its_marks(manifest: Manifest) -> None:
    before = f"a\n{report.FIRST}earlier rows\n{report.LAST}z\n"
    after = report.with_table(before, manifest)
    assert after.startswith(f"a\n{report.FIRST}| claim")
    assert after.endswith(f"|\n{report.LAST}z\n")
    assert "earlier rows" not in after
    assert report.with_table(after, manifest) == after
