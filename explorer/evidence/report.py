"""Write what was measured on a bundle as pages to read, from its manifest alone.

Run `python -m explorer.evidence.report` after the shipped bundle was built or measured anew: it
writes `docs/results.md` and the table in the README. A test compares both with the manifest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from explorer.bundle import Manifest
from explorer.evidence import registry
from explorer.evidence.claim import HOLDS, Claim, Result
from explorer.evidence.drawing import RECALL, Number, Scale, percent
from explorer.evidence.stored import recall_of, upgraded
from explorer.places import BUNDLES, SHIPPED

COMMAND = "python -m explorer.evidence.report"
FIRST, LAST = "<!-- results -->\n", "<!-- end of results -->\n"
ROOT = BUNDLES.parent


def write(root: Path = ROOT) -> None:
    """Write the results' page and the README's table, of the shipped bundle."""
    manifest = Manifest.read(root / BUNDLES.name / SHIPPED)
    (root / "docs" / "results.md").write_text(page(manifest), "utf-8")
    readme = root / "README.md"
    readme.write_text(with_table(readme.read_text("utf-8"), manifest), "utf-8")


def page(manifest: Manifest) -> str:
    """Return every claim with its verdict, its rule and its headline figures: Markdown."""
    counts, evidence = manifest.counts, upgraded(manifest.evidence)
    parts = [
        f"# Results on `{manifest.name}`",
        f"Written by `{COMMAND}` from the bundle's manifest: measure again, don't edit.",
        f"The bundle of {manifest.created}: {counts['neurons']:,} neurons of layers "
        f"{manifest.layers[0]} to {manifest.layers[-1]}, {counts['images']:,} pictures, "
        f"{counts['texts']:,} texts. The Evidence page draws the same figures; "
        "[evidence](evidence.md) says how they are measured. In parentheses: 95 % bootstrap "
        "intervals.",
        "## In brief",
        table(evidence),
        *_phrases(evidence.get("recall", {})),
    ]
    for key, claim in registry.claims().items():
        result = evidence.get(registry.section_of(key).name)
        parts += _claim(key, claim, evidence) if result else []
    return "\n\n".join(parts) + "\n"


def with_table(readme: str, manifest: Manifest) -> str:
    """Return the README with the bundle's results between its two marks."""
    before, _, rest = readme.partition(FIRST)
    _, _, after = rest.partition(LAST)
    return f"{before}{FIRST}{table(upgraded(manifest.evidence))}\n{LAST}{after}"


def table(evidence: Mapping[str, Any]) -> str:
    """Return one row per claim that was measured: Markdown."""
    rows = ["| claim | verdict | measured |", "| --- | --- | --- |"]
    recall = recall_of(evidence)
    if recall:
        shown = (
            f"recall@{nearest} {percent('recall').text(figure)}, {recall.chance(nearest)}"
            for nearest, figure in recall.figures.items()
        )
        names = f"{recall.candidates:,} names, {recall.pictures:,} pictures"
        rows.append(f"| The model recognises pictures | | {'; '.join(shown)}; of {names} |")
    for key, claim in registry.claims().items():
        result = evidence.get(registry.section_of(key).name)
        if result:
            verdict = registry.judged(key, evidence)
            said = verdict.because[:1].upper() + verdict.because[1:]
            rows.append(f"| {claim.title} | {verdict.outcome} | {_cell(said)} |")
    return "\n".join(rows)


def _phrases(recall: Result) -> Iterator[str]:
    """Yield what becomes of recognition when names stand in phrases."""
    if not recall.get("phrases"):
        return
    yield "Names in phrases, on the same pictures:"
    points = Scale("points", 100, "", 1)
    yield "\n".join(
        [
            "| phrase | recall@1 | points more than bare names |",
            "| --- | --- | --- |",
            *(
                f"| {row['phrase']} | {RECALL.text(row['recall@1'])} | "
                f"{points.text(row['beyond_bare'])} |"
                for row in recall["phrases"]
            ),
        ]
    )
    if painted := recall.get("painted"):
        share = percent("share")
        yield (
            f"{painted['pictures']} of the pictures painted in {painted['colours']} colours each, "
            f"named as “a red …”: the colour is told in {share.text(painted['colour'])} (chance "
            f"{100 / painted['colours']:.0f} %), the object among {painted['names']} names in "
            f"{share.text(painted['object'])} (chance {100 / painted['names']:.0f} %)."
        )


def _claim(key: str, claim: Claim, evidence: Mapping[str, Result]) -> Iterator[str]:
    result, verdict = evidence[registry.section_of(key).name], registry.judged(key, evidence)
    yield f"## {claim.title}"
    yield claim.sentence
    yield f"**{verdict.outcome.capitalize()}**: {verdict.because}"
    random, _ = registry.beside_random(key, evidence)
    if random:
        yield random
    yield "\n".join(_numbers(claim.draw(result).numbers))
    yield f"*Rule.* {claim.rule}"
    if claim.explain and verdict.outcome != HOLDS:
        yield "\n".join(f"- {said}" for said in claim.explain(result))


def _numbers(numbers: Sequence[Number]) -> Iterator[str]:
    yield "| figure | value | count |"
    yield "| --- | --- | --- |"
    for number in numbers:
        value = f"{number.scale.text(number.figure)}, {number.scale.title.removesuffix(' (%)')}"
        yield f"| {_cell(number.name)} | {_cell(value)} | {number.figure['count']:,} |"


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


if __name__ == "__main__":
    write()
