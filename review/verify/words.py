"""What verifying found, for people."""

from __future__ import annotations

from review.verify.account import BundleAccount, PartAccount
from review.verify.moment import utc
from review.verify.report import Deleted, Verification
from runtime.seal.statement import printable

_MOST_LINES = 40
_MOST_REASONS = 5


def words(found: Verification) -> str:
    """The answer, the reasons, and what it was held against."""
    part = found.bundle is not None and any(one.handed in ("part", "left out") for one in found.bundle.parts)
    verdict = {
        "intact": "intact: every byte is as the vehicle sealed it"
        if not part
        else "intact: a part of a drive, and every message in it is as the vehicle sealed it",
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
    lines = [
        f"{found.drive}: {verdict}",
        *(f"  {one.kind:<18}{one}" for one in shown),
        *([f"  and {more} more"] if more else []),
        f"  drive      {found.drive_id or 'the seals do not say'}",
        f"  held       {held}",
        f"  record     {found.segments} segments, {found.messages} messages, {found.gaps} declared gaps; ended {end}",
        *([] if found.bundle is None else _bundle(found.bundle)),
        *_deleted(found.deleted),
        *_taken_up("late", "written to their end", found.sealed_late),
        *_taken_up("recovered", "still growing", found.recovered),
        *(f"  key        {key_id}" for key_id in found.key_ids),
        f"  head       {found.head or 'none'}",
        f"  speed      {found.realtime_factor:.0f} x real time ({found.duration_s:.1f} s in {found.wall_s:.2f} s)",
    ]
    return "\n".join(printable(line) for line in lines)  # evidence may hold line breaks, and what steers a terminal


def _taken_up(word: str, state: str, segments: tuple[int, ...]) -> list[str]:
    """Segments that lay there without a seal for a while: what was in them then is nobody's word."""
    if not segments:
        return []
    which = ", ".join(map(str, segments[:_MOST_LINES])) + (" …" if len(segments) > _MOST_LINES else "")
    return [f"  {word:<10} segments {which}: {state} when their recorder died, and sealed by a later one"]


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


def _bundle(account: BundleAccount) -> list[str]:
    lines = [f"  {one}" for one in bundle_words(account)]
    lines += [
        f"  custody    {one.utc} {one.what} by {one.by or 'nobody named'}" + (f": {one.note}" if one.note else "")
        for one in account.custody[-_MOST_LINES:]
    ]
    return [*lines, f"  custody    its last line is {account.custody_head or 'not there'}"]


def bundle_words(account: BundleAccount) -> list[str]:
    """What a bundle holds of a drive and what it leaves out, line by line."""
    parts = account.parts
    lines = [f"asked      {account.asked or 'its manifest does not tell'}", *_limits(account)]
    shown = [one for one in parts if one.handed != "left out"]
    lines += [_segment_words(one) for one in shown[:_MOST_LINES]]
    if len(shown) > _MOST_LINES:
        lines.append(f"           and {len(shown) - _MOST_LINES} segments more")
    absent = [one for one in parts if one.handed == "left out"]
    if absent:
        messages = sum(one.messages for one in absent)
        which = ", ".join(str(one.segment) for one in absent[:_MOST_LINES]) + (
            " …" if len(absent) > _MOST_LINES else ""
        )
        lines.append(f"left out   segments {which}: {messages} messages")
    topics: dict[str, int] = {}
    for one in parts:
        for topic, count in one.left_out.items() if one.handed == "part" else ():
            topics[topic] = topics.get(topic, 0) + count
    lines += [f"left out   {count} x {printable(topic)}, of the parts" for topic, count in sorted(topics.items())]
    lines += [f"left out   the file {name}" for name in account.files_left_out]
    return lines


def _limits(account: BundleAccount) -> list[str]:
    """What the words stand for, which are its maker's."""
    first, last = account.from_log_time_ns, account.to_log_time_ns
    more = " …" if len(account.segments) > _MOST_LINES else ""
    limits = [f"segments {', '.join(map(str, account.segments[:_MOST_LINES])) or 'none'}{more}"]
    if first is not None or last is not None:
        begin, end = "its beginning" if first is None else utc(first), "its end" if last is None else utc(last)
        limits.append(f"sets from {begin} to {end}")
    if account.without_topics:
        limits.append(f"without {', '.join(printable(topic) for topic in account.without_topics)}")
    return [f"that is    {'; '.join(limits)}"] if account.asked else []


def _segment_words(one: PartAccount) -> str:
    words = {
        "whole": f"whole, {one.messages} messages",
        "part": f"a part, {one.kept} of {one.messages} messages",
        "deleted": "deleted by the vehicle itself",
        "unproven": "a part, and nothing of it is proven",
        "left out": "left out",
    }[one.handed]
    if one.unproven:
        words += f"; up to {one.unproven} that are left out may be of what was asked for: counts are by segment"
    return f"segment    {one.segment}: {words}"
