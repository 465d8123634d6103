"""What the page on incidents says of triggers, bounds and the marks socket is what the code does."""

from __future__ import annotations

import re
from typing import get_args

from runtime.contracts.config import IncidentConfig
from runtime.contracts.incident import INDEX_NAME, TriggerKind
from runtime.incident.marks import LARGEST_MARK_BYTES
from runtime.incident.triggers import ALARM_KIND
from runtime.incident.windows import KEPT_MARKS, KEPT_OF_A_KIND
from tests.docs.pages import ROOT, table, text

PAGE = ROOT / "docs" / "incidents.md"


def test_the_page_has_every_kind_of_trigger_once() -> None:
    assert [row["trigger"] for row in table(PAGE, "trigger")] == list(get_args(TriggerKind))


def test_the_page_names_every_key_that_bounds_an_incident() -> None:
    named = set(re.findall(r"`record\.incidents\.(\w+)`", text(PAGE)))
    assert named == set(IncidentConfig.__struct_fields__)


def test_the_page_has_the_bounds_of_lists_and_marks() -> None:
    said = " ".join(text(PAGE).split())
    assert f"the first {KEPT_OF_A_KIND} (of marks {KEPT_MARKS}, and refuses more)" in said
    assert f"larger than {LARGEST_MARK_BYTES // 1024} KiB" in said
    assert f"an event of the kind `{ALARM_KIND}`" in said
    assert f"`{INDEX_NAME}`" in said
