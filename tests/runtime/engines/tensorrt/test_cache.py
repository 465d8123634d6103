"""The cache is bounded, and what is in it is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.contracts.errors import EngineError
from runtime.engines.tensorrt.cache import PlanCache, cache_folder
from runtime.engines.tensorrt.plan_file import sealed, write_plan
from tests.docs.pages import ROOT
from tests.runtime.engines.tensorrt.records import PLAN, record

SECRET = b"s" * 32


def keep(cache: PlanCache, key: str, used_s: int, plan: bytes = PLAN) -> Path:
    cache.folder.mkdir(exist_ok=True)
    path = cache.path(key)
    write_plan(path, sealed(record(plan, key), SECRET), plan)
    os.utime(path, (used_s, used_s))
    return path


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    """An empty cache."""
    return PlanCache(tmp_path / "engines")


def test_it_is_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "sightline" / "engines"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "sightline" / "engines"


def test_plans_are_listed_and_one_that_cannot_be_read_says_why(cache: PlanCache) -> None:
    keep(cache, "good", 1)
    cache.path("bad").write_bytes(b"nothing")
    bad, good = cache.entries()
    assert (bad.record, good.problem) == (None, "")
    assert "is no plan that Sightline wrote" in bad.problem
    assert good.record is not None
    assert good.record.key == "good"


def test_the_longest_unused_make_room_and_the_replaced_one_stays_until_it_is_replaced(cache: PlanCache) -> None:
    paths = {name: keep(cache, name, used_s) for name, used_s in (("a", 30), ("b", 10), ("c", 20), ("d", 5))}
    size = paths["a"].stat().st_size
    gone = cache.make_room(size, 3 * size + 100, replaced=paths["d"])
    assert gone == (paths["b"],)
    assert sorted(path.stem for path in cache.folder.glob("*.plan")) == ["a", "c", "d"]


def test_use_is_noted(cache: PlanCache) -> None:
    first, second = keep(cache, "first", 10), keep(cache, "second", 20)
    cache.touch(first)
    size = first.stat().st_size
    assert cache.make_room(size, 2 * size + 100, cache.path("new")) == (second,)


def test_a_plan_larger_than_the_limit_is_refused_and_takes_nothing_out(cache: PlanCache) -> None:
    kept = keep(cache, "kept", 1)
    with pytest.raises(EngineError, match=r"has 3 MiB and the cache .* is limited to 2; raise --limit-mib"):
        cache.make_room(3 << 20, 2 << 20, cache.path("new"))
    assert kept.exists()


def test_a_swap_puts_the_whole_file_in_place_of_the_other(cache: PlanCache) -> None:
    target = keep(cache, "one", 1)
    before = target.stat().st_ino
    with cache.staging() as staging:
        write_plan(staging / "new", sealed(record(b"new", "one"), SECRET), b"new")
        cache.swap_in(staging / "new", target)
        left = staging
    assert target.read_bytes().endswith(b"\nnew")
    assert target.stat().st_ino != before
    assert not left.exists()


def test_what_a_killed_builder_left_is_swept_and_a_living_ones_is_not(cache: PlanCache) -> None:
    script = (
        "import sys; from pathlib import Path; from runtime.engines.tensorrt.cache import PlanCache\n"
        "with PlanCache(Path(sys.argv[1])).staging() as staging:\n"
        "    (staging / 'half').write_bytes(b'x'); print(staging, flush=True); sys.stdin.read()\n"
    )
    builders = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(cache.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(2)
    ]
    killed, living = (Path(builder.stdout.readline().strip()) for builder in builders if builder.stdout is not None)
    builders[0].send_signal(signal.SIGKILL)
    builders[0].wait()
    with cache.staging():
        assert not killed.exists()
        assert (living / "half").exists()
    builders[1].communicate("")
    assert not living.exists()


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(
            EngineError, match="cannot be written: Not a directory; make room, or choose another with --cache"
        ),
        PlanCache(tmp_path / "file" / "engines").staging(),
    ):
        pass
