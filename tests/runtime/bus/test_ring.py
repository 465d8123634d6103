"""Pictures through shared memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from runtime.bus.ring import PictureRing, PictureRingReader
from runtime.contracts.errors import LinkError
from runtime.contracts.link import LARGEST_SIDE_PX, MessageSet, PictureRef, decode_to_recorder, encode
from runtime.contracts.source import Picture


def a_picture(seed: int, height: int = 20, width: int = 30) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_another_process_sees_every_picture_exactly_whatever_its_size() -> None:
    ring = PictureRing(3, 64 * 64 * 3)
    pictures = [a_picture(0), a_picture(1, 64, 64), a_picture(2, 1, 7)]
    refs = [ring.place("front", picture) for picture in pictures]
    arguments = json.dumps([ring.path, ring.slots, ring.slot_bytes, msgspec.to_builtins(refs)])
    done = subprocess.run([sys.executable, "-c", READ_ALL, arguments], capture_output=True, check=True, timeout=60)
    assert done.stdout == b"".join(picture.tobytes() for picture in pictures)
    ring.close()


READ_ALL = """
import json, sys
from runtime.bus.ring import PictureRingReader
from runtime.contracts.link import PictureRef
path, slots, slot_bytes, refs = json.loads(sys.argv[1])
reader = PictureRingReader(path, slots, slot_bytes)
for ref in refs:
    sys.stdout.buffer.write(reader.picture(PictureRef(*ref)).tobytes())
"""


@pytest.mark.parametrize("shape", [(0, 7, 3), (1, LARGEST_SIDE_PX + 1, 3)])
def test_a_picture_that_the_link_could_not_name_is_refused_with_its_size(shape: tuple[int, int, int]) -> None:
    ring = PictureRing(1, 4 * LARGEST_SIDE_PX)
    refused = ring.place("front", np.zeros(shape, np.uint8))
    assert isinstance(refused, str)
    assert f"{shape[1]}x{shape[0]}" in refused
    widest = ring.place("front", np.zeros((1, LARGEST_SIDE_PX, 3), np.uint8))
    assert isinstance(widest, PictureRef)
    message = MessageSet("s", 0, 0, 0, (), (widest,))
    assert decode_to_recorder(encode(message)) == message
    ring.close()


def test_a_slot_is_used_again_only_after_it_was_released() -> None:
    ring = PictureRing(2, 20 * 30 * 3)
    reader = PictureRingReader(ring.path, ring.slots, ring.slot_bytes)
    first, second = ring.place("front", a_picture(1)), ring.place("front", a_picture(2))
    assert isinstance(first, PictureRef)
    assert isinstance(second, PictureRef)
    refused = ring.place("front", a_picture(3))
    assert refused == "no free slot among the 2 of the picture ring: the recorder is behind"
    assert np.array_equal(reader.picture(first), a_picture(1))
    ring.release((first,))
    assert ring.free == 1
    again = ring.place("front", a_picture(3))
    assert isinstance(again, PictureRef)
    assert again.slot == first.slot
    assert np.array_equal(reader.picture(again), a_picture(3))
    assert np.array_equal(reader.picture(second), a_picture(2))


def test_a_picture_that_does_not_fit_or_is_none_is_refused_with_the_reason() -> None:
    ring = PictureRing(2, 4096)
    assert "a slot of the ring 4096" in str(ring.place("front", a_picture(1, 100, 100)))
    assert "float32" in str(ring.place("front", np.zeros((4, 4, 3), np.float32)))
    assert "(4, 4)" in str(ring.place("front", np.zeros((4, 4), np.uint8)))
    assert ring.free == 2


def test_a_picture_that_is_a_view_of_a_larger_one_arrives_as_it_looks() -> None:
    ring = PictureRing(1, 4096)
    large = a_picture(4, 60, 60)
    ref = ring.place("front", large[5:25, 10:30])
    assert isinstance(ref, PictureRef)
    seen = PictureRingReader(ring.path, ring.slots, ring.slot_bytes).picture(ref)
    assert np.array_equal(seen, large[5:25, 10:30])


def test_a_reference_outside_of_the_ring_is_refused() -> None:
    ring = PictureRing(2, 4096)
    reader = PictureRingReader(ring.path, ring.slots, ring.slot_bytes)
    for ref in (PictureRef("front", 2, 1, 1), PictureRef("front", 0, 65_536, 65_536)):
        with pytest.raises(LinkError, match="outside"):
            reader.picture(ref)


def test_only_a_ring_is_opened_as_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(8192))
    with file.open("rb") as opened:
        for path in (str(file), "/dev/zero", f"/proc/{os.getpid()}/fd/{opened.fileno()}", "/proc/1/fd/999999"):
            with pytest.raises(LinkError):
                PictureRingReader(path, 1, 4096)
    ring = PictureRing(2, 4096)
    with pytest.raises(LinkError, match="8192 bytes, not 3 slots"):
        PictureRingReader(ring.path, 3, 4096)


def test_the_ring_has_no_name_that_could_be_left_behind() -> None:
    ring = PictureRing(2, 4096)
    ring.place("front", a_picture(1))
    assert str(Path(ring.path).readlink()).startswith("/memfd:")
    assert not list(Path("/dev/shm").glob("*sightline*"))
    ring.close()
    ring.close()


def test_memory_that_cannot_be_had_is_said() -> None:
    with pytest.raises(LinkError, match=r"lower record\.picture_slots"):
        PictureRing(1 << 10, 1 << 50)
