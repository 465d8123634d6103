"""How much smaller than JPEG is H.264, at what cost? `python -m benchmarks.pictures [--json] [--pictures N]`

The same pictures through the recorder's own encoders, in turn: the record's size of the picture for people, its
likeness to what was seen (PSNR), and the processor's time. The baseline is JPEG of the same run: of the quality that is
recorded, and of the lowest that is as like as the H.264. Promise: 5 to 20 times smaller on a real road. Videos besides
the proving ground's are named as arguments.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from benchmarks.machine import machine, today
from review.pictures import PictureDecoder
from runtime.contracts.config import Config
from runtime.contracts.messages import CompressedImage, CompressedVideo, timestamp
from runtime.contracts.source import Capture, Picture, SourceRequest
from runtime.record.h264 import FORMAT, H264Encoder
from runtime.sources.open import open_source

PROMISED = (5.0, 20.0)
ROADS = (
    "../shared/data/udacity_sim",
    "proving-ground://lane?seed=9&duration_s=60&width=1280&height=720",
    "../shared/data/highway.mp4",
)
MOMENT = timestamp(0)

Encode = Callable[[Picture], bytes]
Decode = Callable[[bytes], Picture | None]


def pictures_of(uri: str) -> Iterator[Picture]:
    """The pictures of a source, as they were captured."""
    source = open_source(SourceRequest(uri, ("front",), "lockstep"))
    while (item := source.read()) is not None:
        if isinstance(item, Capture):
            yield item.pictures["front"]
    source.close()


def measured(pictures: list[Picture], encode: Encode, decode: Decode) -> dict[str, float]:
    """Mean bytes, median time on the processor, and mean likeness of what comes back."""
    sizes, times_ms, likeness_db = [], [], []
    for picture in pictures:
        begin = time.thread_time()
        data = encode(picture)
        times_ms.append(1e3 * (time.thread_time() - begin))
        sizes.append(len(data))
        shown = decode(data)
        if shown is None:
            raise SystemExit("a picture does not decode: that is a defect")
        likeness_db.append(cv2.PSNR(np.ascontiguousarray(shown[: picture.shape[0], : picture.shape[1]]), picture))
    return {
        "bytes": round(float(np.mean(sizes))),
        "core_ms": round(float(np.median(times_ms)), 2),
        "psnr_db": round(float(np.mean(likeness_db)), 1),
    }


def jpeg(pictures: list[Picture], quality: int) -> dict[str, float]:
    """As the recorder encodes JPEG."""
    decoder = PictureDecoder()
    return measured(
        pictures,
        lambda picture: cv2.imencode(".jpg", picture, [int(cv2.IMWRITE_JPEG_QUALITY), quality])[1].tobytes(),
        lambda data: decoder.decode(CompressedImage(MOMENT, "front", data, "jpeg")),
    )


def jpeg_as_like(pictures: list[Picture], psnr_db: float) -> tuple[int, dict[str, float]]:
    """The lowest quality whose likeness is at least that, and its figures; the highest where none is."""
    qualities = range(1, 101)
    lowest = bisect_left(qualities, psnr_db, key=lambda quality: jpeg(pictures[::10], quality)["psnr_db"])
    quality = qualities[min(lowest, len(qualities) - 1)]
    return quality, jpeg(pictures, quality)


def h264(pictures: list[Picture], quality: int) -> dict[str, float]:
    """As the recorder encodes H.264 on the processor."""
    height, width = pictures[0].shape[:2]
    encoder, decoder = H264Encoder(height, width, quality), PictureDecoder()
    return measured(
        pictures,
        lambda picture: encoder.encode(picture, key=False),
        lambda data: decoder.decode(CompressedVideo(MOMENT, "front", data, FORMAT)),
    )


def road(uri: str, count: int) -> dict[str, object]:
    """One source's figures."""
    record = Config().record
    pictures = list(islice(pictures_of(uri), count))
    height, width = pictures[0].shape[:2]
    base, video = jpeg(pictures, record.jpeg_quality), h264(pictures, record.h264_quality)
    small = h264(pictures, record.retention.degraded_h264_quality)
    as_like_quality, as_like = jpeg_as_like(pictures, video["psnr_db"])
    return {
        "source": uri,
        "pictures": len(pictures),
        "size": f"{width}x{height}",
        f"jpeg {record.jpeg_quality}": base,
        f"h264 {record.h264_quality}": video,
        f"jpeg {as_like_quality} (as like)": as_like,
        f"h264 {record.retention.degraded_h264_quality} (room is short)": small,
        "times_smaller": round(base["bytes"] / video["bytes"], 1),
        "times_smaller_as_like": round(as_like["bytes"] / video["bytes"], 1),
        "times_the_core_time": round(video["core_ms"] / base["core_ms"], 1),
    }


def main() -> int:
    """Print the figures; 0 where every road's ratio is at least the promised, 1 where one is not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__)
    parser.add_argument("sources", nargs="*", default=[uri for uri in ROADS if "://" in uri or Path(uri).exists()])
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--pictures", type=int, default=200, metavar="N", help="of each source (default 200)")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    roads = [road(uri, arguments.pictures) for uri in arguments.sources]
    holds = all(float(str(one["times_smaller"])) >= PROMISED[0] for one in roads)
    report = {"benchmark": "pictures", "machine": machine(), "date": today(), "roads": roads, "holds": holds}
    if arguments.json:
        print(json.dumps(report, indent=2))
        return 0 if holds else 1
    print(f"{report['machine']}, {report['date']}\n")
    print("| pictures | codec | bytes a picture | likeness, dB | core time, ms |\n|---|---|---|---|---|")
    for one in roads:
        name = f"{Path(str(one['source']).partition('?')[0]).name}, {one['pictures']} of {one['size']}"
        for codec, row in one.items():
            if isinstance(row, dict):
                print(f"| {name} | {codec} | {row['bytes']:,} | {row['psnr_db']} | {row['core_ms']} |")
        smaller = f"{one['times_smaller']} times smaller; as like: {one['times_smaller_as_like']}"
        print(f"| | h264 over jpeg | {smaller} | | {one['times_the_core_time']} x |")
    print(f"\npromise {PROMISED[0]:g} to {PROMISED[1]:g} times smaller: {'holds' if holds else 'does not hold'}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
