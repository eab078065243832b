"""Second-order effects describe a neuron better than direct or indirect ones."""

from __future__ import annotations

from explorer.evidence.claim import (
    FAILS,
    HOLDS,
    ORACLE,
    PARTLY,
    Claim,
    Result,
    Verdict,
    in_percent,
    number,
    plain,
)
from explorer.evidence.drawing import (
    CORRELATION,
    Dot,
    Dots,
    Number,
    Plot,
    Scale,
    Shown,
    Tone,
    percent,
)
from explorer.evidence.figures import is_positive

KINDS = {
    "second_order": ("second-order", Tone.SECOND),
    "direct": ("direct", Tone.DIRECT),
    "indirect": ("indirect", Tone.INDIRECT),
}


def judge(result: Result) -> Verdict:
    """Judge whether second-order descriptions predict better than both others."""
    better = sum(
        is_positive(result[f"second_order_beyond_{other}"]["pearson"])
        for other in ("direct", "indirect")
    )
    found = {kind: number(result[kind]["pearson"]) for kind in KINDS}
    said = (
        "labels and descriptions correlate with the effect at "
        f"{found['second_order']} (second-order), {found['direct']} (direct) and "
        f"{found['indirect']} (indirect)."
    )
    return Verdict((FAILS, PARTLY, HOLDS)[better], said)


def explain(result: Result) -> list[str]:
    """Say how small a difference could be told, and what chance gives."""
    own, other = result["second_order"], result["other_neuron"]
    said = []
    for kind in ("direct", "indirect"):
        beyond = result[f"second_order_beyond_{kind}"]["pearson"]
        if beyond["interval"]:
            low, high = beyond["interval"]
            said.append(
                f"Second-order against {kind}: {number(beyond)} more (95 % interval {plain(low)} "
                f"to {plain(high)}), over {beyond['count']:,} neurons and "
                f"{result['test_pictures']:,} pictures."
            )
    return [
        *said,
        f"Chance: with another neuron's description {number(other['pearson'])}, with its own "
        f"{number(own['pearson'])}.",
        "Size is another matter: second-order effects account for "
        f"{in_percent(own['aligned_share'])} of what the neurons change in all, direct ones for "
        f"{in_percent(result['direct']['aligned_share'])}.",
        ORACLE,
    ]


def draw(result: Result) -> Shown:
    """Draw the three kinds of effects side by side."""

    def rows(measure: str) -> list[Dot]:
        named = [Dot(name, result[kind][measure], tone) for kind, (name, tone) in KINDS.items()]
        build = result["second_order_of_the_build"].get(measure)
        other = result["other_neuron"].get(measure)
        named += [Dot("second-order, as in the bundle", build, Tone.FURTHER)] if build else []
        return named + ([Dot("another neuron's description", other)] if other else [])

    return Shown(
        [
            Number.at(f"Labels predict it: {name}", CORRELATION, result, kind, "pearson")
            for kind, (name, _) in KINDS.items()
        ]
        + [
            Number.at(
                f"Of the indirect effect, accounted for: {KINDS[kind][0]}",
                percent("of the indirect effect"),
                result,
                kind,
                "aligned_share",
            )
            for kind in ("second_order", "direct")
        ],
        [
            Plot(
                f"Correlation, over {result['test_pictures']:,} unseen pictures, of a neuron's "
                "effect with what its description and the picture's label predict; mean of "
                f"{len(result['neurons'])} neurons of layer {result['layer']}. Bars: 95 % "
                "intervals over neurons.",
                Dots(rows("pearson"), CORRELATION),
            ),
            Plot(
                "Area under the precision-recall curve for the strongest tenth of the pictures; "
                "dotted: chance level.",
                Dots(rows("auprc"), Scale("AUPRC"), result["chance_auprc"]),
            ),
            Plot(
                "Share of the squared effects on unseen pictures that one direction, fitted on "
                "others, explains. Direct effects have one direction by construction.",
                Dots(rows("explained"), percent("explained variance")),
            ),
            Plot(
                "Share of the squared effects that the strongest tenth of the pictures holds.",
                Dots(rows("selectivity"), percent("share of the strongest tenth")),
            ),
            Plot(
                "Size of each kind compared with the indirect effect, and the part of the indirect "
                "effect that it accounts for by pointing the same way.",
                Dots(
                    [
                        Dot(f"{name}, {what}", result[kind][key], tone)
                        for kind, (name, tone) in list(KINDS.items())[:2]
                        for key, what in (("size_share", "size"), ("aligned_share", "aligned"))
                    ],
                    percent("of the indirect effect"),
                ),
            ),
        ],
    )


CLAIM = Claim(
    title="Direct and indirect effects say less",
    sentence="Second-order effects tell more about what a neuron means than its direct effect on "
    "the output or the whole change when it is ablated.",
    rule="Over neurons of the last layer: holds if the second-order description predicts effects "
    "from labels better (Pearson, interval of the difference above 0) than the direct and than the "
    "indirect one does theirs. Partly if better than one of them.",
    judge=judge,
    draw=draw,
    explain=explain,
)
