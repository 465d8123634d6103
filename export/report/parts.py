"""What the page's sections are made of: tables, facts, and text that cannot break out of its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Cell:
    """One cell of a table; `number` aligns it right, `passed` colours it."""

    text: str
    number: bool = False
    passed: bool | None = None


def table(head: Sequence[Cell], rows: Iterable[Sequence[Cell]]) -> str:
    """A table with a head."""
    top = "".join(f"<th{_class(cell)}>{escape(cell.text)}</th>" for cell in head)
    body = "".join(f"<tr>{''.join(f'<td{_class(cell)}>{escape(cell.text)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values; empty values are left out."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in pairs if value)}</dl>"


def section(title: str, lead: str, *content: str) -> str:
    """A box with a title and a sentence that says what it tells; `lead` is plain text, `content` is HTML."""
    return (
        f'<section><h2>{escape(title)}</h2><p class="lead">{escape(lead)}</p>{"".join(content)}</section>'
        if lead
        else f"<section><h2>{escape(title)}</h2>{''.join(content)}</section>"
    )


def _class(cell: Cell) -> str:
    names = [
        name
        for name, wanted in (("n", cell.number), ("yes", cell.passed is True), ("no", cell.passed is False))
        if wanted
    ]
    return f' class="{" ".join(names)}"' if names else ""
