"""What verifying found, for people."""

from __future__ import annotations

from review.verify.report import Deleted, Verification

_MOST_LINES = 40
_MOST_REASONS = 5


def words(found: Verification) -> str:
    """The answer, the reasons, and what it was held against."""
    verdict = {
        "intact": "intact: every byte is as the vehicle sealed it",
        "damaged": "NOT INTACT: this is not what the vehicle sealed, or not signed by a known key",
    }[found.verdict]
    shown = found.findings[:_MOST_LINES]
    more = len(found.findings) - len(shown) + found.findings_left_out
    held = {
        "messages": "every message against the signed tree, every file against its signed hash",
        "files": "every file against its signed hash (zstandard is not installed, so no message is read)",
    }[found.level]
    end = {
        "in order": "in order",
        "open": "open: the end was lost, and the record declares it",
        "": "the seals do not say",
    }[found.ended]
    return "\n".join(
        [
            f"{found.drive}: {verdict}",
            *(f"  {one.kind:<18}{one}" for one in shown),
            *([f"  and {more} more"] if more else []),
            f"  held       {held}",
            f"  record     {found.segments} segments, {found.messages} messages, {found.gaps} declared gaps; "
            f"ended {end}",
            *_deleted(found.deleted),
            *(f"  late       segment {index} was sealed by a later recorder" for index in found.sealed_late),
            *(f"  key        {key_id}" for key_id in found.key_ids),
            f"  head       {found.head or 'none'}",
            f"  speed      {found.realtime_factor:.0f} x real time ({found.duration_s:.1f} s in {found.wall_s:.2f} s)",
        ]
    )


def _deleted(found: tuple[Deleted, ...]) -> list[str]:
    """What is there no longer, and by whose word: as many lines as there are reasons."""
    if not found:
        return []
    messages = sum(one.messages for one in found)
    which = ", ".join(str(one.segment) for one in found[:_MOST_LINES]) + (" …" if len(found) > _MOST_LINES else "")
    reasons = list(dict.fromkeys(one.reason for one in found))
    return [
        f"  deleted    segments {which}, {messages} messages: by the vehicle itself, which signed for it",
        *(f"             {reason}" for reason in reasons[:_MOST_REASONS]),
    ]
