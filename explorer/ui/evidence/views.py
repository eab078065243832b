"""What is shown of each claim's result: its leading figures and its plots. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import plotly.graph_objects as go

from explorer.palette import COLOURS
from explorer.ui.data.image_query import METHOD_NAMES
from explorer.ui.evidence import plots
from explorer.ui.evidence.plots import DIRECT, INDIRECT, RECALL, SECOND, Dot, Scale, Series, percent
from explorer.ui.html.charts import NEUTRAL

Result = Mapping[str, Any]
Figure = Mapping[str, Any]
KIND_NAMES = {
    "second_order": ("second-order", SECOND),
    "direct": ("direct", DIRECT),
    "indirect": ("indirect", INDIRECT),
}
CHOICES = {
    "omp": ("matching pursuit", COLOURS[0]),
    "nonnegative": ("only adding", COLOURS[2]),
    "lasso": ("lasso", COLOURS[1]),
    "random": ("random texts", NEUTRAL),
}
CORRELATION = Scale("Pearson correlation", 1, "", 3)
COSINE = Scale("cosine", 1, "", 3)
PRECISION = Scale("foreground average precision", 1, "", 3)


class Number(NamedTuple):
    """A headline figure: what it is, in which unit, and its key in the section's JSON."""

    name: str
    figure: Figure
    scale: Scale
    key: str


@dataclass(frozen=True)
class Plot:
    """A plot and one line that says what it shows."""

    caption: str
    figure: go.Figure


@dataclass(frozen=True)
class Shown:
    """Everything drawn of a claim; the first plot is the leading one."""

    numbers: Sequence[Number]
    plots: Sequence[Plot]


def baseline(result: Result) -> list[Number]:
    """Recognition of the evaluation pictures, nothing changed."""
    return [
        Number(key.capitalize(), result[key], percent(key), key)
        for key in ("recall@1", "recall@10")
    ]


def ablation(result: Result) -> Shown:
    """Recall after ablating each layer, three ways."""
    rows = result["layers"]
    series = [
        Series(name, colour, [row[kind]["recall@1"] for row in rows])
        for kind, (name, colour) in KIND_NAMES.items()
        for kind in [_ablated(kind)]
    ]
    place, worst = max(enumerate(rows), key=lambda pair: _value(pair[1]["second_order"]["drop"]))
    every = result["all_layers"]
    points = Scale("points of recall@1", 100, "", 1)
    return Shown(
        [
            Number("Nothing ablated", result["full"]["recall@1"], RECALL, "full.recall@1"),
            Number(
                f"Lost without second-order effects of layer {worst['layer']}",
                worst["second_order"]["drop"],
                points,
                f"layers[{place}].second_order.drop",
            ),
            Number(
                f"Lost without direct effects of layer {worst['layer']}",
                worst["first_order"]["drop"],
                points,
                f"layers[{place}].first_order.drop",
            ),
            Number(
                "Lost without second-order effects of all layers",
                every["second_order"]["drop"],
                points,
                "all_layers.second_order.drop",
            ),
        ],
        [
            Plot(
                "Share of pictures whose own name stays the nearest after one layer's effects are "
                "replaced by their means; bars: 95 % intervals, dotted: nothing replaced. "
                "Indirect: the layer's activations are replaced and all after it is computed anew.",
                plots.lines(
                    series,
                    [str(row["layer"]) for row in rows],
                    RECALL,
                    "layer",
                    result["full"]["recall@1"]["value"],
                ),
            )
        ],
    )


def _ablated(kind: str) -> str:
    return {"direct": "first_order"}.get(kind, kind)


def selectivity(result: Result) -> Shown:
    """Where recall lives, and how many pictures reach each threshold."""
    every, above = result["all_layers"], result["above"]
    rows = [
        Dot("all effects kept", result["full"]["recall@1"], INDIRECT),
        Dot("only significant ones kept", every["only_significant"], SECOND),
        Dot("as many at random kept", every["only_random"]),
        Dot("significant ones ablated", every["without_significant"], DIRECT),
        Dot("as many at random ablated", every["without_random"]),
        Dot("all ablated", every["ablated"], COLOURS[5]),
    ]
    return Shown(
        [
            Number(
                "Kept by significant effects",
                every["kept_by_significant"],
                percent("of what is lost without all"),
                "all_layers.kept_by_significant",
            ),
            Number(
                "Lost without significant effects",
                every["lost_without_significant"],
                percent("of what is lost without all"),
                "all_layers.lost_without_significant",
            ),
            Number(
                "Kept by as many at random",
                every["kept_by_random"],
                percent("of what is lost without all"),
                "all_layers.kept_by_random",
            ),
            Number(
                "Pictures above a neuron's threshold",
                above["at_the_threshold"],
                percent("mean over neurons"),
                "above.at_the_threshold",
            ),
        ],
        [
            Plot(
                "Recall@1 when some second-order effects of all layers are kept and the rest "
                "replaced by their means. An effect is significant if it is as strong as the "
                "build's strongest 2 % of the neuron. Bars: 95 % intervals.",
                plots.dots(rows, RECALL, result["full"]["recall@1"]["value"]),
            ),
            Plot(
                "Share of the evaluation pictures on which a neuron's effect is stronger than a "
                "multiple of its threshold (1, dotted): median neuron and middle half of neurons. "
                "Both scales are logarithmic.",
                plots.band(
                    above["thresholds"],
                    above["median"],
                    above["lower_quartile"],
                    above["upper_quartile"],
                    "effect norm ÷ threshold",
                    percent("pictures above"),
                    1.0,
                ),
            ),
            Plot(
                "How many of the strongest effects recall takes: only effects above a part of "
                "each neuron's threshold (1, 0.7, 0.5, 0.3, 0.2) are kept. Dotted: all of them.",
                plots.lines(
                    [
                        Series(
                            "strongest effects",
                            SECOND,
                            [row["recall@1"] for row in result["lowered"]],
                        )
                    ],
                    [_share(row["effects"]) for row in result["lowered"]],
                    RECALL,
                    "effects kept",
                    result["full"]["recall@1"]["value"],
                ),
            ),
        ],
    )


def rank(result: Result) -> Shown:
    """Recall with projected effects, and explained variances."""
    every, explained = result["all_layers"], result["explained_variance"]
    rows = [
        Dot("whole effects", result["full"]["recall@1"], INDIRECT),
        *(Dot(f"on {n} directions", every[f"rank_{n}"]["recall@1"]) for n in (3, 2)),
        Dot("on one direction", every["rank_1"]["recall@1"], SECOND),
        Dot("ablated", every["ablated"]["recall@1"], COLOURS[5]),
    ]
    layers = explained["layers"]
    return Shown(
        [
            Number(
                "Kept by one direction",
                every["rank_1"]["kept"],
                percent("of what is lost without effects"),
                "all_layers.rank_1.kept",
            ),
            Number(
                "Explained variance, build",
                explained["build"]["rank_1"],
                percent("mean over neurons"),
                "explained_variance.build.rank_1",
            ),
            Number(
                "Explained variance, unseen pictures",
                explained["evaluation"],
                percent("mean over neurons"),
                "explained_variance.evaluation",
            ),
        ],
        [
            Plot(
                "Recall@1 when every neuron's second-order effect, in all layers, is replaced by "
                "its projection on one, two or three directions of its own. Bars: 95 % intervals.",
                plots.dots(rows, RECALL, result["full"]["recall@1"]["value"]),
            ),
            Plot(
                "Neurons by the share of their squared significant effects that lies along their "
                "direction: on the build's pictures, and on unseen ones that had no part in "
                "choosing it.",
                plots.histogram(
                    explained["bins"],
                    [
                        ("build's pictures", NEUTRAL, explained["build_counts"]),
                        ("unseen pictures", SECOND, explained["evaluation_counts"]),
                    ],
                    "explained variance",
                ),
            ),
            Plot(
                "The same by layer, mean over neurons with 95 % intervals.",
                plots.lines(
                    [
                        Series("build's pictures", NEUTRAL, [row["build"] for row in layers]),
                        Series("unseen pictures", SECOND, [row["evaluation"] for row in layers]),
                    ],
                    [str(row["layer"]) for row in layers],
                    percent("explained variance"),
                    "layer",
                ),
            ),
        ],
    )


def texts(result: Result) -> Shown:
    """Recall and reconstruction by number of texts."""
    some, every = result["strongest"], result["all_neurons"]
    place = {(row["method"], row["m"]): number for number, row in enumerate(every["rows"])}
    most = max(m for method, m in place if method == "omp")
    nearest, largest = (every["rows"][place[key]] for key in (("nearest", 1), ("omp", most)))
    whole = every["rows"][place["direction", None]]
    return Shown(
        [
            Number(
                f"Kept by {most} texts",
                largest["kept"],
                percent("of what is lost without effects"),
                f"all_neurons.rows[{place['omp', most]}].kept",
            ),
            Number(
                "Kept by the directions",
                whole["kept"],
                percent("of what is lost without effects"),
                f"all_neurons.rows[{place['direction', None]}].kept",
            ),
            Number(
                "Kept by the nearest text",
                nearest["kept"],
                percent("of what is lost without effects"),
                f"all_neurons.rows[{place['nearest', 1]}].kept",
            ),
            Number(
                f"Cosine with the direction, {most} texts",
                largest["reconstruction"],
                COSINE,
                f"all_neurons.rows[{place['omp', most]}].reconstruction",
            ),
        ],
        [
            Plot(
                f"Recall@1 when the effects of all {every['neurons']:,} neurons are replaced by "
                "projections on their directions' reconstructions from a few texts, those of this "
                "bundle. Dotted: on the directions themselves. Bars: 95 % intervals.",
                _by_texts(every["rows"], "recall@1", RECALL),
            ),
            Plot(
                f"The same for the {some['neurons']:,} strongest neurons alone, with texts chosen "
                "in several ways; all other neurons are left as they are.",
                _by_texts(some["rows"], "recall@1", RECALL),
            ),
            Plot(
                "How near the reconstructions come to those neurons' directions: 1 is the same.",
                _by_texts(some["rows"], "reconstruction", COSINE),
            ),
        ],
    )


def _by_texts(rows: Sequence[Result], name: str, scale: Scale) -> go.Figure:
    """A figure of each way to choose texts, by their number."""
    by_method: dict[str, dict[int, Figure]] = {}
    reference = None
    for row in rows:
        if row["method"] == "direction":
            reference = row[name]["value"]
        else:
            by_method.setdefault(row["method"], {})[row["m"]] = row[name]
    nearest = by_method.pop("nearest", {})
    sizes = sorted({m for found in by_method.values() for m in found} | set(nearest))
    nothing = {"value": None, "interval": None, "count": 0}
    series = []
    for method, found in by_method.items():
        title, colour = CHOICES[method]
        first = nearest if method == "omp" else {}
        series.append(Series(title, colour, [({**first, **found}).get(m, nothing) for m in sizes]))
    return plots.lines(series, [str(m) for m in sizes], scale, "texts", reference)


def kinds(result: Result) -> Shown:
    """The three kinds of effects side by side."""

    def rows(measure: str) -> list[Dot]:
        named = [Dot(name, result[kind][measure], c) for kind, (name, c) in KIND_NAMES.items()]
        build = result["second_order_of_the_build"].get(measure)
        other = result["other_neuron"].get(measure)
        named += [Dot("second-order, as in the bundle", build, COLOURS[4])] if build else []
        return named + ([Dot("another neuron's description", other)] if other else [])

    return Shown(
        [
            Number(
                f"Labels predict it: {name}",
                result[kind]["pearson"],
                CORRELATION,
                f"{kind}.pearson",
            )
            for kind, (name, _) in KIND_NAMES.items()
        ],
        [
            Plot(
                f"Correlation, over {result['test_pictures']:,} unseen pictures, of a neuron's "
                "effect with what its description and the picture's label predict; mean of "
                f"{len(result['neurons'])} neurons of layer {result['layer']}. Bars: 95 % "
                "intervals over neurons.",
                plots.dots(rows("pearson"), CORRELATION),
            ),
            Plot(
                "Area under the precision-recall curve for the strongest tenth of the pictures; "
                "dotted: by chance.",
                plots.dots(rows("auprc"), Scale("AUPRC"), result["chance_auprc"]),
            ),
            Plot(
                "Share of the squared effects on unseen pictures that one direction, fitted on "
                "others, explains. Direct effects have one direction by construction.",
                plots.dots(rows("explained"), percent("explained variance")),
            ),
            Plot(
                "Share of the squared effects that the strongest tenth of the pictures holds.",
                plots.dots(rows("selectivity"), percent("share of the strongest tenth")),
            ),
            Plot(
                "Size of each kind compared with the indirect effect, and the part of the indirect "
                "effect that it accounts for by pointing the same way.",
                plots.dots(
                    [
                        Dot(f"{name}, {what}", result[kind][key], colour)
                        for kind, (name, colour) in list(KIND_NAMES.items())[:2]
                        for key, what in (("size_share", "size"), ("aligned_share", "aligned"))
                    ],
                    percent("of the indirect effect"),
                ),
            ),
        ],
    )


def descriptions(result: Result) -> Shown:
    """How well labels and descriptions predict effects."""
    part, controls = result["descriptions"], result["controls"]
    layers = [a | b for a, b in zip(part["layers"], controls["layers"], strict=True)]
    metrics = {"pearson": "Pearson", "cosine": "cosine", "auprc": "AUPRC", "f1": "F1", "iou": "IoU"}
    predictors = (
        ("description", "own description", SECOND),
        ("direction", "own direction", COLOURS[4]),
        ("other_neuron", "another neuron's", NEUTRAL),
    )
    return Shown(
        [
            Number(
                "Own description",
                part["description"]["pearson"],
                CORRELATION,
                "descriptions.description.pearson",
            ),
            Number(
                "Another neuron's",
                part["other_neuron"]["pearson"],
                CORRELATION,
                "descriptions.other_neuron.pearson",
            ),
            Number(
                "Labels, fitted on the corpus",
                controls["fitted"],
                CORRELATION,
                "controls.fitted",
            ),
            Number("Planted neurons", controls["planted"], CORRELATION, "controls.planted"),
        ],
        [
            Plot(
                "What tells a neuron's effects on unseen pictures, mean over neurons. Blue: its "
                "description with the picture's label. Green: labels alone, however they are "
                "used: they can tell. Grey: controls, from planted neurons that do what their "
                "direction says (the most this measure can show) to another neuron's description.",
                plots.dots(
                    [
                        Dot("planted neurons, own description", controls["planted"]),
                        Dot("labels, fitted on the corpus", controls["fitted"], INDIRECT),
                        Dot("labels of its top pictures", controls["top_labels"], INDIRECT),
                        Dot("own description", part["description"]["pearson"], SECOND),
                        Dot("own direction, no texts", part["direction"]["pearson"]),
                        Dot("own direction, no labels", controls["output"]),
                        Dot("own description, corpus pictures", controls["corpus"]),
                        Dot("another neuron's description", part["other_neuron"]["pearson"]),
                    ],
                    CORRELATION,
                ),
            ),
            Plot(
                "Neurons by the correlation, over unseen pictures, of their effect with what their "
                "description and the picture's label predict; in grey another neuron's "
                "description takes its place.",
                plots.histogram(
                    part["pearson_bins"],
                    [
                        ("another neuron's description", NEUTRAL, part["other_counts"]),
                        ("own description", SECOND, part["pearson_counts"]),
                    ],
                    "Pearson correlation",
                ),
            ),
            Plot(
                "The same by layer, mean over neurons with 95 % intervals.",
                plots.lines(
                    [
                        Series("labels, fitted", INDIRECT, [r["fitted"] for r in layers]),
                        Series("own description", SECOND, [r["description"] for r in layers]),
                        Series("another neuron's", NEUTRAL, [r["other_neuron"] for r in layers]),
                    ],
                    [str(row["layer"]) for row in layers],
                    CORRELATION,
                    "layer",
                ),
            ),
            Plot(
                "Five measures of agreement, mean over neurons. F1 and IoU compare the "
                f"{result['top']} strongest pictures with as many predicted ones.",
                plots.dots(
                    [
                        Dot(f"{title}, {name}", part[key][metric], colour)
                        for metric, title in metrics.items()
                        for key, name, colour in predictors
                    ],
                    Scale("agreement"),
                ),
            ),
        ],
    )


def polysemy(result: Result) -> Shown:
    """Label-verified meanings, and the monosemanticity score."""
    part, score = result["polysemy"], result["monosemanticity"]
    layers = score["layers"]
    return Shown(
        [
            Number(
                "Two verified meanings",
                part["two_meanings"],
                percent("of neurons"),
                "polysemy.two_meanings",
            ),
            Number("By chance", part["permuted"], percent("of neurons"), "polysemy.permuted"),
            Number(
                "Two meanings, if any",
                part["of_verified"],
                percent("of neurons with a verified meaning"),
                "polysemy.of_verified",
            ),
            Number(
                "Monosemanticity score",
                score["score"],
                Scale(f"mean; {score['permuted']['value'] or 0:.3f} by chance"),
                "monosemanticity.score",
            ),
        ],
        [
            Plot(
                "Share of neurons with two or more unrelated meanings, each confirmed by the "
                "labels of at least two of its strongest unseen pictures; and with the labels "
                "exchanged at random. Bars: 95 % intervals.",
                plots.dots(
                    [
                        Dot("as it is", part["two_meanings"], SECOND),
                        Dot("labels exchanged", part["permuted"]),
                    ],
                    percent("neurons with two meanings"),
                ),
            ),
            Plot(
                "Monosemanticity score (arXiv 2504.02821) by layer: how alike a neuron's pictures "
                "are to the model itself, weighted by the neuron's effects (brought to 0 … 1), or "
                "by its positive effects alone; dotted: with pictures exchanged at random.",
                plots.lines(
                    [
                        Series("all effects", SECOND, [row["score"] for row in layers]),
                        Series(
                            "positive effects", INDIRECT, [row["positive_side"] for row in layers]
                        ),
                    ],
                    [str(row["layer"]) for row in layers],
                    Scale("monosemanticity score"),
                    "layer",
                    score["permuted"]["value"],
                ),
            ),
        ],
    )


def fit(result: Result) -> Shown:
    """What second-order effects carry of the output."""
    orders, layers = result["orders"], result["layers"]
    names = {"second_order": "second-order", "first_order": "direct", "rest": "everything else"}
    colours = {"second_order": SECOND, "first_order": DIRECT, "rest": NEUTRAL}
    lead = percent("of the right answer's lead")
    return Shown(
        [
            Number(names[key].capitalize(), found["logit_share"], lead, f"orders.{key}.logit_share")
            for key, found in orders.items()
        ],
        [
            Plot(
                "What each layer's effects add to the right answer's lead over the mean candidate, "
                "as a share of the whole lead. Bars: 95 % intervals.",
                plots.lines(
                    [
                        Series(
                            names[key], colours[key], [row[key]["logit_share"] for row in layers]
                        )
                        for key in ("second_order", "first_order")
                    ],
                    [str(row["layer"]) for row in layers],
                    lead,
                    "layer",
                ),
            ),
            Plot(
                "Size of each part compared with the whole output about its mean (root mean "
                "square). Parts may cancel, so these do not add up to 100 %.",
                plots.dots(
                    [
                        Dot(names[key], found["norm_share"], colours[key])
                        for key, found in orders.items()
                    ],
                    percent("of the output's size"),
                ),
            ),
            Plot(
                "The lead that second-order effects of all layers add through each attention head.",
                plots.heads(result["heads"]),
            ),
        ],
    )


def segmentation(result: Result) -> Shown:
    """Average precision of every method's maps."""
    numbers, drawn = [], []
    for name, part in result["sets"].items():
        rows = []
        for method, forms in part["methods"].items():
            own = method in ("second-order", "activation")
            title = METHOD_NAMES.get(method, method)
            for form in forms:
                figure = forms[form]["foreground_average_precision"]
                colour = SECOND if own else NEUTRAL
                rows.append(Dot(f"{title}, {form}", figure, colour))
                if method == "second-order" and form == "exact":
                    key = f"sets.{name}.methods.{method}.{form}.foreground_average_precision"
                    numbers.append(Number(f"Second-order, {name}", figure, PRECISION, key))
        drawn.append(
            Plot(
                f"{name[0].upper()}{name[1:]}: {part['scenes']:,} scenes, {part['objects']:,} "
                "objects. Average precision of an object's own pixels when all pixels are ordered "
                "by each map; blue: from second-order effects. Bars: 95 % intervals over scenes.",
                plots.dots(rows, PRECISION),
            )
        )
    return Shown(numbers, drawn)


def discovery(result: Result) -> Shown:
    """How often the best texts name what is in a scene."""
    rankings = {
        "concepts": ("concepts of the picture", SECOND),
        "sets": ("merged sparse sets", COLOURS[4]),
        "output": ("whole output's nearest texts", INDIRECT),
        "likely": ("both together (“likely in it”)", COLOURS[2]),
        "chance": ("another scene's labels", NEUTRAL),
    }
    numbers, drawn = [], []
    named = {
        name: part
        for name, part in result.items()
        if isinstance(part, Mapping) and "concepts" in part
    }
    for name, part in named.items():
        hits = [key for key in part["concepts"] if key.startswith("hit@")]
        series = [
            Series(
                title,
                colour,
                [part[key][hit] for hit in hits],
            )
            for key, (title, colour) in rankings.items()
            if key in part
        ]
        most = hits[-1]
        numbers.append(
            Number(
                f"Named by {most.removeprefix('hit@')} texts, {name}",
                part["concepts"][most],
                percent("of objects"),
                f"{name}.concepts.{most}",
            )
        )
        drawn.append(
            Plot(
                f"{name[0].upper()}{name[1:]}: {part['scenes']:,} scenes. Share of their objects "
                "(those whose label is in the dictionary) that the best texts name. Bars: 95 % "
                "intervals over scenes.",
                plots.lines(
                    series,
                    [hit.removeprefix("hit@") for hit in hits],
                    percent("objects named"),
                    "texts",
                ),
            )
        )
    sure = {name: part for name, part in named.items() if "confidence" in part}
    numbers += [
        Number(
            f"Present told from absent, {name}",
            part["confidence"]["auc"],
            percent("of pairs of a present and an absent text"),
            f"{name}.confidence.auc",
        )
        for name, part in sure.items()
    ]
    return Shown(numbers, [*drawn, _doubted(sure)] if sure else drawn)


def _doubted(named: Mapping[str, Result]) -> Plot:
    """Which texts the Image page calls doubtful, by set of scenes."""
    kinds = (("present", SECOND), ("absent", NEUTRAL))
    return Plot(
        "Texts that the Image page calls doubtful, of things in a scene (blue) and of things in "
        "another one. Bars: 95 % intervals over scenes.",
        plots.dots(
            [
                Dot(
                    f"{name}, {kind}",
                    part["confidence"][f"{kind}_doubted"],
                    colour,
                )
                for name, part in named.items()
                for kind, colour in kinds
            ],
            percent("of texts called doubtful"),
        ),
    )


def attack(result: Result) -> Shown:
    """How often pictures are taken for the target, by what was added to them."""
    methods, pairs = result["methods"], result["pairs"]
    names = {name: row["two_way"] for name, row in methods.items()}
    whole = {name: row["all_classes"] for name, row in methods.items()}

    def rows(figures: Mapping[str, Figure]) -> list[Dot]:
        return [
            Dot(name, figure, SECOND if name == "second-order" else NEUTRAL)
            for name, figure in figures.items()
        ]

    taken = percent("of pictures taken for the target")
    made = f"{pairs:,} pairs of classes, {result['scenes']:,} pictures each"
    return Shown(
        [
            Number(f"Fooled: {name}", figure, taken, f"methods.{name}.two_way")
            for name, figure in names.items()
        ],
        [
            Plot(
                f"Pictures taken for the target rather than the source class, by how the things "
                f"added to them were chosen; {made}. Bars: 95 % intervals over pairs.",
                plots.dots(rows(names), taken),
            ),
            Plot(
                f"The same among all {result['classes']:,} classes.",
                plots.dots(rows(whole), taken),
            ),
        ],
    )


VIEWS: dict[str, Callable[[Result], Shown]] = {
    "ablation": ablation,
    "selectivity": selectivity,
    "rank": rank,
    "texts": texts,
    "kinds": kinds,
    "descriptions": descriptions,
    "polysemy": polysemy,
    "fit": fit,
    "segmentation": segmentation,
    "discovery": discovery,
    "attack": attack,
}


def every_figure(result: Any, key: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield key, value, interval and count of every number of a result, by its place in the JSON.

    Lists of plain numbers stand in one row.
    """
    if isinstance(result, Mapping):
        if "interval" in result:
            value = result["value"]
            count = _plain(result["count"]) if "count" in result else ""
            yield key, _plain(value), _span(result["interval"]), count
            return
        for name, part in result.items():
            yield from every_figure(part, f"{key}.{name}" if key else str(name))
    elif isinstance(result, list) and any(isinstance(item, Mapping | list) for item in result):
        for place, part in enumerate(result):
            yield from every_figure(part, f"{key}[{place}]")
    elif isinstance(result, list):
        yield key, ", ".join(map(_plain, result)), "", ""
    else:
        yield key, _plain(result), "", ""


def _plain(value: Any) -> str:
    return "–" if value is None else str(value)


def _span(interval: Sequence[float] | None) -> str:
    return f"{interval[0]} to {interval[1]}" if interval else "–"


def _share(figure: Figure) -> str:
    return f"{100 * _value(figure):.0f} %"


def _value(figure: Figure) -> float:
    return float(figure["value"] or 0)
