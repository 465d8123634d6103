"""The pages, and what is code, a table or a link in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)|<img [^>]*src=\"([^\"]+)\"")
_OPERATORS = frozenset({"|", "||", "&&", ";", ">", ">>", "<", "&"})


@dataclass(frozen=True)
class Command:
    """One command as a page shows it. `whole`: in a block, so that it can be typed as it stands."""

    page: Path
    words: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        """For test names and messages."""
        return f"{self.page.relative_to(ROOT)}: {' '.join(self.words)}"


def text(page: Path) -> str:
    """A page's text."""
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The contents of a page's fenced blocks of one language."""
    return [content for found, content in _FENCE.findall(text(page)) if found == language]


def inline_code(page: Path) -> list[str]:
    """What stands between single backticks, outside of blocks."""
    return _INLINE.findall(_FENCE.sub("", text(page)))


def links(page: Path) -> list[str]:
    """Every target of a link or picture."""
    return [target or source for target, source in _LINK.findall(_FENCE.sub("", text(page)))]


def commands(program: str) -> Iterator[Command]:
    """Every call of `program` on any page, from its name to the end or the shell's next operator."""
    for page in PAGES:
        for block in (*blocks(page, "sh"), *blocks(page, "bash"), *blocks(page, "")):
            for line in block.replace("\\\n", " ").splitlines():
                yield from (Command(page, words, whole=True) for words in _calls(line, program))
        for code in inline_code(page):
            yield from (Command(page, words, whole=False) for words in _calls(code, program))


def table(page: Path, first_column: str) -> list[dict[str, str]]:
    """The rows of every table of a page whose first column has this heading, by column, backticks taken off."""
    rows, headings = [], None
    for line in text(page).splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] if line.startswith("|") else None
        if cells is None:
            headings = None
        elif headings is None:
            headings = cells
        elif headings[0] == first_column and set(cells[0]) - set(":- "):
            rows.append({heading: _plain(cell) for heading, cell in zip(headings, cells, strict=True)})
    return rows


def anchors(page: Path) -> set[str]:
    """The anchors that a forge makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _plain(cell: str) -> str:
    return cell.replace("\\|", "|").replace("`", "")


def _calls(line: str, program: str) -> Iterator[tuple[str, ...]]:
    if not re.search(rf"(^|[\s/]){re.escape(program)}(\s|$)", line):
        return
    if re.match(r"\w+\(\) \{", line):  # a shell function, which hands on what it is given
        return
    try:
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)
    except ValueError:  # an apostrophe in a line of prose or of output
        return
    for start, word in enumerate(words):
        first = start == 0 or words[start - 1] in _OPERATORS or "=" in words[start - 1]
        if first and word.rpartition("/")[2] == program:
            rest = words[start + 1 :]
            end = next((index for index, one in enumerate(rest) if one in _OPERATORS), len(rest))
            yield (program, *rest[:end])
