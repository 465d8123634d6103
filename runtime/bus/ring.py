"""Raw pictures in shared memory, on their way from the driving process to the recorder's encoder.

The memory is anonymous (memfd): it has no name to leave behind in /dev/shm, a container's /dev/shm limit does not
bound it, and pages that no picture touches cost nothing. The recorder opens it through the driving process's
descriptor table, again and again if it must start again. The writer alone knows which slots are free: a slot is
used again only after the set that refers to it was acknowledged or given up unsent, so that no reader sees a torn
picture.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import re
from collections import deque

import numpy as np

from runtime.contracts.errors import LinkError
from runtime.contracts.link import LARGEST_SIDE_PX, PictureRef
from runtime.contracts.source import Picture

_PATH = re.compile(r"/proc/\d+/fd/\d+")


class PictureRing:
    """The writer's end: `slots` slots of `slot_bytes` bytes each. Raises LinkError where the memory cannot be had."""

    def __init__(self, slots: int, slot_bytes: int) -> None:
        self.slots = slots
        self.slot_bytes = -(-slot_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        size_bytes = self.slots * self.slot_bytes
        self._fd = os.memfd_create("sightline-pictures", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self._fd, size_bytes)
            fcntl.fcntl(self._fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            self._memory = mmap.mmap(self._fd, size_bytes)
        except (OSError, ValueError) as error:
            os.close(self._fd)
            raise LinkError(
                f"shared memory for {slots} pictures of {slot_bytes} bytes cannot be had: {error}; "
                "lower record.picture_slots"
            ) from error
        self._free: deque[int] = deque(range(slots))

    @property
    def path(self) -> str:
        """Where another process of the same user opens this memory while this one lives."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    @property
    def free(self) -> int:
        """Slots that hold no picture."""
        return len(self._free)

    def place(self, camera: str, picture: Picture) -> PictureRef | str:
        """Copy a picture (uint8, height x width x 3) into a free slot; otherwise the reason why not, for the ledger."""
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            return f"a picture is uint8, height x width x 3; this one is {picture.dtype} {picture.shape}"
        if not all(1 <= side <= LARGEST_SIDE_PX for side in picture.shape[:2]):
            height, width = picture.shape[:2]
            return f"a picture's sides are 1 to {LARGEST_SIDE_PX} pixels; this one is {width}x{height}"
        if picture.nbytes > self.slot_bytes:
            return f"the picture has {picture.nbytes} bytes, a slot of the ring {self.slot_bytes}"
        if not self._free:
            return f"no free slot among the {self.slots} of the picture ring: the recorder is behind"
        slot = self._free.popleft()
        target = np.frombuffer(self._memory, np.uint8, picture.nbytes, slot * self.slot_bytes)
        target.reshape(picture.shape)[:] = picture
        return PictureRef(camera, slot, picture.shape[0], picture.shape[1])

    def release(self, refs: tuple[PictureRef, ...]) -> None:
        """Give slots back: nobody reads them any more."""
        self._free.extend(ref.slot for ref in refs)

    def close(self) -> None:
        """Give the memory back. Idempotent."""
        if self._fd >= 0:
            self._memory.close()
            os.close(self._fd)
            self._fd = -1


class PictureRingReader:
    """The reader's end. Raises LinkError where `path` is no ring of that size."""

    def __init__(self, path: str, slots: int, slot_bytes: int) -> None:
        if not _PATH.fullmatch(path):
            raise LinkError(f"{path!r} is no picture ring: a ring is /proc/PID/fd/N of the driving process")
        self.path, self._slots, self._slot_bytes = path, slots, slot_bytes
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                size_bytes = os.fstat(fd).st_size
                if slots < 1 or slot_bytes < 1 or size_bytes < slots * slot_bytes:
                    raise LinkError(f"{path} has {size_bytes} bytes, not {slots} slots of {slot_bytes}")
                if not fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
                    raise LinkError(f"{path} may shrink while it is read: it is no picture ring")
                self._memory = mmap.mmap(fd, slots * slot_bytes, prot=mmap.PROT_READ)
            finally:
                os.close(fd)
        except (OSError, ValueError, OverflowError) as error:
            raise LinkError(f"the picture ring {path} cannot be opened: {error}") from error

    def picture(self, ref: PictureRef) -> Picture:
        """The picture at `ref`, without a copy; whole until its set is acknowledged.

        Raises LinkError on a place outside of the ring.
        """
        size_bytes = ref.height * ref.width * 3
        if ref.slot >= self._slots or size_bytes > self._slot_bytes:
            raise LinkError(f"{ref} lies outside of a ring of {self._slots} slots of {self._slot_bytes} bytes")
        flat = np.frombuffer(self._memory, np.uint8, size_bytes, ref.slot * self._slot_bytes)
        return flat.reshape(ref.height, ref.width, 3)

    def close(self) -> None:
        """Give the mapping back once nobody holds a picture of it."""
        with contextlib.suppress(BufferError):  # a picture is still held: the mapping goes with it
            self._memory.close()
