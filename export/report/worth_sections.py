"""The page's sections on worth: the verdict, what removal changes, what randomisation and noise do to the map."""

from __future__ import annotations

from html import escape

from export.report.charts import Chart, Line, legend, svg
from export.report.parts import Cell, section, table
from export.worth.amounts import amount, plainly, shown_unit, shown_value
from export.worth.controls import EDGES, EDGES_ON_GRID, RANDOM, RANDOM_ON_GRID
from export.worth.judge import ATTRIBUTION, INPUT_GRADIENT
from export.worth.verdict import Imputer, Randomisation, Removal, Stability, Way, Worth

_STYLES = {
    ATTRIBUTION: ("#0b4fa8", 3.2, ""),
    EDGES: ("#d9640d", 1.8, ""),
    EDGES_ON_GRID: ("#d9640d", 1.5, "5 3"),
    RANDOM: ("#7b8594", 1.8, ""),
    RANDOM_ON_GRID: ("#7b8594", 1.5, "5 3"),
    INPUT_GRADIENT: ("#1d8a54", 1.8, ""),
}
_FILLED = {"blur": "filled with a blur of the picture", "mean": "filled with its mean colour"}
_HEADINGS = {"yes": "This explanation is worth showing", "no": "This explanation is not worth showing"}


def verdict(worth: Worth) -> str:
    """The verdict in plain words, with its reasons."""
    kind = {"worth showing": "yes", "not worth showing": "no"}.get(worth.verdict, "open")
    lead = {
        "yes": "It names what the decision hangs on, better than edges and chance do, and it hangs on the network.",
        "no": "The vehicle draws it with a warning. What failed:",
        "open": "The vehicle draws it with a warning, for nobody knows what it is worth.",
    }[kind]
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in worth.reasons)
    notes = "".join(f"<li>{escape(note)}</li>" for note in worth.notes)
    more = f'<p class="soft">Beside the verdict:</p><ul class="soft">{notes}</ul>' if notes else ""
    return (
        f'<section class="verdict {kind}"><h2>{_HEADINGS.get(kind, "This explanation was not judged")}</h2>'
        f"<p>{escape(lead)}</p><ul>{reasons}</ul>{more}</section>"
    )


def removal(found: Removal, worth: Worth) -> str:
    """Deletion and insertion: curves with both fillings, the comparisons as a table."""
    unit, what = worth.unit, plainly(worth.target)
    names = list(dict.fromkeys(curve.map for curve in found.curves))
    lines = [_line(name, []) for name in names]
    deletion = (_curves(found, "deletion", imputer, unit) for imputer in dict.fromkeys(c.imputer for c in found.curves))
    insertion = (
        _curves(found, "insertion", imputer, unit) for imputer in dict.fromkeys(c.imputer for c in found.curves)
    )
    share = ", ".join(f"{100 * fraction:g}" for fraction in found.fractions)
    return section(
        "Does the map mark what the decision hangs on?",
        f"The {share} % of pixels that a map marks most are taken away (deletion: {what} must change much) or "
        f"shown alone (insertion: it must stay near to what it was). Every map loses the same number of pixels. Over "
        f"these frames {what} itself has a standard deviation of {amount(found.target_spread, unit)}.",
        legend(lines),
        "<h3>Deletion: higher is better</h3>",
        f'<div class="pair">{"".join(deletion)}</div>',
        "<h3>Insertion: lower is better</h3>",
        f'<div class="pair">{"".join(insertion)}</div>',
        f"<details open><summary>The figures</summary>{_comparisons(found, unit)}</details>",
        _directions(found, unit),
    )


def randomisation(found: Randomisation, limit: float) -> str:
    """How much of the map stays when the network forgets."""
    stages = found.stages
    head = next((place for place, stage in enumerate(stages) if stage.head), None)
    lines = [
        Line("signed map", [stage.signed for stage in stages], "#0b4fa8", 2.6),
        Line("absolute map", [stage.absolute for stage in stages], "#8a3ffc", 2.0, "6 3"),
    ]
    chart = Chart(
        title="Rank correlation with the true map after randomisation",
        x_title="layers redrawn, from the output towards the input",
        y_title="|rank correlation|",
        x_labels=[str(stage.layers) for stage in stages],
        lines=lines,
        gate=limit,
        gate_label=f"with the head redrawn: below {limit:g}",
        mark=head,
        mark_label="head",
        y_top=1.0,
    )
    rows = [
        [
            Cell(str(stage.layers), number=True),
            Cell(stage.layer + (" (head)" if stage.head else "")),
            _correlation(stage.signed, limit if stage.head else None),
            _correlation(stage.absolute, limit if stage.head else None),
            Cell(
                ", ".join("none" if value is None else f"{value:+.2f}".replace("-", "−") for value in stage.by_seed),
                number=True,
            ),
        ]
        for stage in stages
    ]
    heads = [Cell("layers", number=True), Cell("down to"), Cell("signed", number=True), Cell("absolute", number=True)]
    return section(
        "Does the map hang on what the network has learnt?",
        f"Weights are redrawn at their own scale, from the output towards the input, with {len(found.seeds)} seeds, "
        "and every copy is explained anew. A map that stays as it was shows the picture, not the decision "
        "(Adebayo et al., arXiv 1810.03292). Absolute values of the rank correlations, averaged over frames and seeds.",
        f'<div class="pair wide"><div class="chart">{svg(chart)}{legend(lines)}</div>'
        f"<div>{table([*heads, Cell('signed, by seed', number=True)], rows)}</div></div>",
    )


def stability(found: Stability, limit: float) -> str:
    """What small changes of the picture do to map and decision."""
    rows = [
        [
            Cell(each.name),
            _correlation(each.rank_correlation_median, limit if each.gated else None, above=True),
            _correlation(each.rank_correlation_p5, None),
            _percent(each.map_change_median),
            _percent(each.decision_change_median),
        ]
        for each in found.disturbances
    ]
    return section(
        "Does the map stay when the picture hardly changes?",
        "Rank correlation of the map with the one of the disturbed picture; how far the map moves, of its own sum; how "
        "far the decision moves, of its standard deviation over the frames. Medians over frames and draws.",
        table(
            [
                Cell("disturbance"),
                Cell("rank correlation", number=True),
                Cell("5th percentile", number=True),
                Cell("map moves", number=True),
                Cell("decision moves", number=True),
            ],
            rows,
        ),
    )


def _curves(found: Removal, way: Way, imputer: Imputer, unit: str) -> str:
    chosen = [curve for curve in found.curves if curve.way == way and curve.imputer == imputer]
    chart = Chart(
        title=f"{way}, {_FILLED[imputer]}",
        x_title=f"{'taken away' if way == 'deletion' else 'shown'}, % of pixels, {_FILLED[imputer]}",
        y_title=f"|change|{', ' + shown_unit(unit) if unit else ''}",
        x_labels=[f"{100 * fraction:g}" for fraction in found.fractions],
        # The attribution is drawn last, on top.
        lines=[_line(c.map, [shown_value(value, unit) for value in c.by_fraction]) for c in reversed(chosen)],
        x_at=[*found.fractions],
    )
    return f'<div class="chart">{svg(chart)}</div>'


def _comparisons(found: Removal, unit: str) -> str:
    rows = []
    for each in found.comparisons:
        mark = "yes" if each.passed else "no"
        rows.append(
            [
                Cell(f"{each.way}, {each.imputer}"),
                Cell(each.control),
                Cell(amount(each.attribution, unit), number=True),
                Cell(amount(each.control_figure, unit), number=True),
                Cell(amount(each.difference.mean, unit), number=True),
                Cell(f"{amount(each.difference.low, unit)} to {amount(each.difference.high, unit)}", number=True),
                Cell(mark if each.gated else f"({mark}; not gated)", passed=each.passed if each.gated else None),
            ]
        )
    head = ("map", "control", "difference", "95 % interval")
    return table(
        [Cell("way, filling"), Cell("against"), *(Cell(name, number=True) for name in head), Cell("passed?")], rows
    )


def _directions(found: Removal, unit: str) -> str:
    rows = [
        [
            Cell(_FILLED[each.imputer]),
            Cell(amount(each.figure.mean, unit), number=True),
            Cell(f"{amount(each.figure.low, unit)} to {amount(each.figure.high, unit)}", number=True),
            Cell("yes" if each.passed else "no", passed=each.passed),
        ]
        for each in found.directions
    ]
    head = [Cell("one side's marks taken away"), Cell("moves the decision to the other side by", number=True)]
    return (
        "<h3 class='apart'>Do the signs hold?</h3>"
        f"{table([*head, Cell('95 % interval', number=True), Cell('above 0?')], rows)}"
    )


def _line(name: str, values: list[float]) -> Line:
    colour, width, dash = _STYLES.get(name, ("#444", 1.5, "2 2"))
    return Line("the map" if name == ATTRIBUTION else name, values, colour, width, dash)


def _correlation(value: float | None, limit: float | None, *, above: bool = False) -> Cell:
    if value is None:
        return Cell("none", number=True, passed=None if limit is None else False)
    passed = None if limit is None else value >= limit if above else value < limit
    return Cell(f"{value:.2f}".replace("-", "−"), number=True, passed=passed)


def _percent(value: float | None) -> Cell:
    return Cell("none" if value is None else f"{100 * value:.2g} %", number=True)
