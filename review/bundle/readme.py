"""What a bundle says to whoever opens its folder."""

from __future__ import annotations

import fnmatch
import textwrap
from collections.abc import Iterator, Sequence

from review.verify.account import BundleAccount, PartAccount
from review.verify.manifest import CUSTODY_NAME, MANIFEST_NAME, VERIFIER_NAME
from review.verify.moment import utc
from runtime.seal.statement import printable

_WIDTH = 100


def readme(drive_id: str, account: BundleAccount, head: str, key_ids: Sequence[str], names: Sequence[str]) -> str:
    """The text of README.txt. `names`: the files of the bundle, as paths in it."""
    return "\n".join(
        [
            f"EVIDENCE FROM THE DRIVE {drive_id}",
            "",
            *_paragraph(
                "This folder holds a part of what a vehicle recorded while a neural network drove it. The vehicle "
                "signed the record when it was made. Everything here can be held against that signature, and what was "
                "left out is told below; nobody without the vehicle's key can change, add, reorder or remove a message "
                "here and have it verify."
            ),
            "",
            f"Asked for: {account.asked}",
            *([f"Time:      {_window(account)}"] if _window(account) else []),
            "",
            "HOW TO VERIFY IT",
            "",
            *_paragraph(
                "You need Python 3.10 or later with the package `cryptography`, and the vehicle's public key "
                "(signing.pub), which must reach you from elsewhere than with this folder: a key that comes with what "
                "it is to prove proves nothing. Keep it outside of this folder (here: right beside it), and run in "
                "this folder:"
            ),
            "",
            f"    python {VERIFIER_NAME} . --key ../signing.pub",
            "",
            *_paragraph(
                "Exit code 0: intact. 1: something was changed, withheld or not signed by that key; each is named. "
                f"2: it could not be checked. If you do not trust the {VERIFIER_NAME} that lies here, get one from "
                "another party (`sightline verify --standalone FILE`); it is plain text and can be read."
            ),
            "",
            *(f"key   {key_id}" for key_id in key_ids),
            f"head  {head}",
            "",
            *_paragraph(
                "If somebody kept a head of this drive (the number and hash of a seal) while it was recorded, add "
                "`--head NUMBER:SHA256`: that proves that not even the vehicle's own key made the record anew."
            ),
            "",
            "WHAT IS HERE",
            "",
            *(f"    {name:<28}{words}" for name, pattern, words in _FILES if fnmatch.filter(names, pattern)),
            "",
            *_segments(account),
            "",
            "WHAT WAS LEFT OUT",
            "",
            *_left_out(account),
            "",
        ]
    )


_FILES = (
    (
        "drive/segment-N.mcap",
        "drive/*.leaves",
        "a segment, whole; any MCAP reader opens it (.leaves: its messages' hashes)",
    ),
    ("drive/segment-N.part.mcap", "*.part.mcap", "a part of a segment; any MCAP reader opens it"),
    (
        "drive/segment-N.proof.json",
        "*.proof.json",
        "which messages the part holds, and the proof that they were sealed",
    ),
    ("drive/*.seal.json", "*.seal.json", "every seal of the drive, signed, each naming the one before"),
    ("drive/key-*.pub", "*/key-*.pub", "which key signed (not whose it is)"),
    ("drive/rotation-*.json", "*/rotation-*", "how the vehicle changed its key, signed by the one before"),
    ("drive/model.onnx", "*/model.onnx", "the network that drove"),
    ("drive/config.yaml", "*/config.yaml", "how it was run"),
    ("drive/incidents.json", "*/incidents.json", "what the vehicle kept as incidents, and why"),
    (MANIFEST_NAME, MANIFEST_NAME, "what was asked for, and the SHA-256 of every file"),
    (CUSTODY_NAME, CUSTODY_NAME, "who had this when, and what they did; each line names the one before"),
    (VERIFIER_NAME, VERIFIER_NAME, "the verifier, one file"),
)
"""Name, what files it stands for, what they are."""


def _window(account: BundleAccount) -> str:
    """The time that was asked for; "": whole segments."""
    first, last = account.from_log_time_ns, account.to_log_time_ns
    if first is None and last is None:
        return ""
    begin = "the drive's beginning" if first is None else utc(first)
    return f"{begin} to {'its end' if last is None else utc(last)}, whole sets of messages"


def _segments(account: BundleAccount) -> Iterator[str]:
    for one in account.parts:
        span = f"{utc(one.first_log_time_ns)} to {utc(one.last_log_time_ns)}"
        yield f"    segment {one.segment}: {_handed(one)}; {span}"


def _handed(one: PartAccount) -> str:
    return {
        "whole": f"whole, {one.messages} messages",
        "part": f"a part, {one.kept} of {one.messages} messages",
        "unproven": "a part, and nothing of it is proven",
        "left out": f"left out, {one.messages} messages",
        "deleted": f"deleted by the vehicle itself to make room, {one.messages} messages; it signed for that",
    }[one.handed]


def _left_out(account: BundleAccount) -> Iterator[str]:
    """Counts that follow from the seals."""
    for one in account.parts:
        if one.handed in ("part", "left out"):
            yield f"    segment {one.segment}:"
            yield from (f"        {count:>8} x {printable(topic)}" for topic, count in one.left_out.items())
    yield from (f"    the file {name}" for name in account.files_left_out)
    if not account.files_left_out and all(one.handed in ("whole", "deleted") for one in account.parts):
        yield "    nothing"
        return
    yield ""
    yield from _paragraph(
        "The counts follow from the signed seals. Of a message that was left out only the salted hash is here, from "
        "which its content cannot be guessed; it can be handed over later and proven by the same signature."
    )
    if any(one.unproven for one in account.parts):
        most = sum(one.unproven for one in account.parts)
        yield ""
        yield from _paragraph(
            f"A seal counts its topics by the whole segment. Where a part was cut by time and by topic, up to {most} "
            "of the messages that were left out within the time may, as far as the signature tells, be of a topic that "
            "was asked for. Segments that are handed over in their whole length leave nothing open."
        )


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False)
