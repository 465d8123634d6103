"""What the record holds of a frame at each step of saving room. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from runtime.contracts.messages import Disposition
from runtime.contracts.topics import ATTRIBUTION, TRUTH, Topic
from runtime.retention.steps import ESSENTIALS, FEWER_PICTURES, SMALLER_PICTURES

_LEFT_OUT: tuple[Topic, ...] = (ATTRIBUTION, TRUTH)


@dataclass(frozen=True, slots=True)
class Saving:
    """One step; one picture in `picture_every` is kept where only some are."""

    step: int
    picture_every: int

    @property
    def smaller_pictures(self) -> bool:
        """Whether pictures are encoded at the lower quality."""
        return self.step >= SMALLER_PICTURES

    def keeps(self, topic: Topic) -> bool:
        """Whether messages of a topic are recorded."""
        return self.step < ESSENTIALS or topic not in _LEFT_OUT

    def encodes_picture(self, frame_sequence: int) -> bool:
        """Whether a frame's pictures are encoded, for viewers at least."""
        return self.step < FEWER_PICTURES or frame_sequence % self.picture_every == 0

    def records_picture(self, frame_sequence: int) -> bool:
        """Whether a frame's pictures are recorded."""
        return self.step < ESSENTIALS and self.encodes_picture(frame_sequence)

    def told(self, line: Disposition, *, has_picture: bool) -> Disposition:
        """The ledger's line with what is left out of its frame, and why. `has_picture`: there is one of its camera."""
        if has_picture and not self.records_picture(line.frame_id.sequence):
            kept = "no picture is" if self.step >= ESSENTIALS else f"one picture in {self.picture_every} is"
            line = replace(line, picture_missing=f"to save room {kept} recorded")
        left_out = () if self.step < ESSENTIALS else tuple(topic.name for topic in _LEFT_OUT)
        return line if line.left_out == left_out else replace(line, left_out=left_out)
