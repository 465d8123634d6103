"""The report as one HTML page that fetches nothing: verdict on top, pictures, curves, tables, and what it rests on."""

from __future__ import annotations

from html import escape

from export.report import worth_sections
from export.report.album import Album, Shown
from export.report.forms import parity, precision
from export.report.parts import facts, section
from export.report.report import Report
from export.report.style import STYLE
from export.worth.verdict import Worth


def page(report: Report, album: Album | None) -> str:
    """The page. `album` is None where there is no attribution or no frame to show."""
    worth = report.worth
    parts = [f"<h1>{escape(report.model)}</h1>", '<p class="soft">What its export measured.</p>']
    if report.without_map:
        parts.append(section("No explanation", f"It was exported without one: {report.without_map}"))
    elif worth is not None:
        parts.append(worth_sections.verdict(worth))
    if album is not None:
        parts.append(_pictures(album, worth))
    if worth is not None and worth.removal is not None:
        parts.append(worth_sections.removal(worth.removal, worth))
    if worth is not None and worth.randomisation is not None:
        parts.append(worth_sections.randomisation(worth.randomisation, worth.gates.randomised_head))
    if worth is not None and worth.stability is not None:
        parts.append(worth_sections.stability(worth.stability, worth.gates.stability))
    if album is not None and album.worst:
        parts.append(_worst(album))
    if report.parity is not None:
        parts.append(parity(report.parity))
    if report.precision:
        moved = "".join(map(_figure, album.moved)) if album is not None else ""
        title = "<h3 class='apart'>Where they move the decision most (the map is that of float32)</h3>"
        parts.append(precision(report.precision, f'{title}<div class="album">{moved}</div>' if moved else ""))
    parts.append(_rests_on(report))
    title = f"{report.model}: {worth.verdict}" if worth is not None else report.model
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _pictures(album: Album, worth: Worth | None) -> str:
    method = f" Method: {worth.method}" + (f", at {worth.layer}." if worth.layer else ".") if worth else ""
    return section(
        "What it shows",
        "Frames from one end of the decisions to the other: what the network saw, and the map over it. Dots are the "
        f"centres of the map's cells.{method}",
        _ramp(album),
        f'<div class="album">{"".join(map(_figure, album.typical))}</div>',
    )


def _worst(album: Album) -> str:
    return section(
        "Where it does worst",
        "The frames on which taking away what the map marks changes the target less than taking away edges does.",
        _ramp(album),
        f'<div class="album">{"".join(map(_figure, album.worst))}</div>',
    )


def _ramp(album: Album) -> str:
    return (
        f'<p class="legend">{escape(album.down)}, −{escape(album.full_scale)} a cell<span class="ramp"></span>'
        f"+{escape(album.full_scale)} a cell, {escape(album.up)}</p>"
    )


def _figure(shown: Shown) -> str:
    return (
        f'<figure><img src="{shown.plain}" alt="what the network saw"><img src="{shown.overlaid}" alt="with the map">'
        f"<figcaption>{escape(shown.caption)}</figcaption></figure>"
    )


def _rests_on(report: Report) -> str:
    worth = report.worth
    rows = [("graph", report.graph_sha256)]
    if worth is not None:
        rows += [
            ("explained", worth.target),
            (
                "method",
                f"{worth.method}, layer {worth.layer}, {worth.rows} x {worth.columns} cells" if worth.method else "",
            ),
            ("frames", f"{worth.frames.count} of {worth.frames.source}" if worth.frames else ""),
            ("frames' hash", worth.frames.sha256 if worth.frames else ""),
            ("head", ", ".join(worth.randomisation.head_layers) if worth.randomisation else ""),
            ("seeds", ", ".join(map(str, worth.seeds))),
            ("passes", f"{worth.passes:,}" if worth.passes else ""),
        ]
    lead = "How every figure is made is written in docs/worth.md of Sightline."
    return section("What this rests on", lead, facts(rows))
