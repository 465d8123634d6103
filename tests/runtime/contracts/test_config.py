"""The configuration: one file, checked once, and errors that a person can act upon."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from runtime.contracts.config import (
    Config,
    default_config,
    dump_config,
    load_config,
    packaged_configs,
    parse_config,
    recorded_config,
)
from runtime.contracts.errors import ConfigError


def test_every_packaged_configuration_is_valid_and_its_model_is_there() -> None:
    for name in packaged_configs():
        assert Path(load_config(Path(name)).model).is_file(), name


def test_the_bench_writes_out_exactly_the_defaults() -> None:
    assert msgspec.structs.replace(default_config(), model=Config().model) == Config()


def test_an_empty_file_is_the_defaults() -> None:
    assert parse_config("", "f.yaml") == Config()


def test_a_dumped_configuration_reads_back_the_same() -> None:
    config = parse_config("record: {jpeg_quality: 55}\npacing: real-time\n", "f.yaml")
    assert parse_config(dump_config(config), "g.yaml") == config


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# a comment\nrecord:\n  jpeg_quality: 300\n", ["f.yaml:3", "record.jpeg_quality", "300", "<= 100"]),
        ("record:\n  jpg: 1\n", ["f.yaml:2", "record.jpg", "jpeg_quality"]),
        ("engine: &a [*a]\n", ["f.yaml", "holds itself"]),
        ("[" * 5000, ["f.yaml", "no YAML"]),
        ("speed: 1\n", ["f.yaml:1", "'speed'", "engine"]),
        ("pacing: slow\n", ["f.yaml:1", "pacing", "slow", "lockstep", "real-time"]),
        ("engine:\n  providers: [7]\n", ["f.yaml:2", "engine.providers.0", "7", "str"]),
        ("engine:\n  threads: two\n", ["f.yaml:2", "engine.threads", "two", "int"]),
        ("engine: 3\n", ["f.yaml:1", "engine", "3"]),
        (
            "bus:\n  transport: tcp\n  tcp_viewers: tcp://127.0.0.1:5591\n",
            ["f.yaml", "tcp_pictures", "tcp://127.0.0.1:5591", "tcp_viewers", "port of its own"],
        ),
        ("bus:\n  curve: false\n  tcp_link: tcp://0.0.0.0:5\n", ["f.yaml", "tcp_link", "0.0.0.0", "loopback", "keys"]),
        ("bus:\n  tcp_marks: tcp://eth0:5593\n", ["f.yaml", "tcp_marks", "eth0", "in numbers"]),
        ("bus:\n  tcp_viewers: tcp://10.0.0.300:5593\n", ["f.yaml", "tcp_viewers", "10.0.0.300"]),
        ("bus:\n  tcp_viewers: tcp://10.0.0.3:70000\n", ["f.yaml", "tcp_viewers", "70000"]),
        ("bus:\n  tcp_viewers: ipc:///tmp/viewers\n", ["f.yaml", "tcp_viewers", "ipc"]),
        ("model: a.onnx\nmodel: b.onnx\n", ["f.yaml:2", "'model'", "line 1"]),
        ("model: [\n", ["f.yaml", "YAML"]),
        ("- 1\n", ["f.yaml:1", "object"]),
    ],
)
def test_a_wrong_value_is_named_with_file_line_key_value_and_what_is_allowed(text: str, said: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_config(text, "f.yaml")
    for words in said:
        assert words in str(raised.value)


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.7", "[::]", "[fd00::7]", "localhost", "127.0.0.2", "[::1]"])
def test_with_keys_any_address_may_be_served_on(address: str) -> None:
    bus = parse_config(f"bus: {{transport: tcp, tcp_viewers: 'tcp://{address}:5590'}}\n", "f.yaml").bus
    assert (bus.curve, bus.tcp_viewers) == (True, f"tcp://{address}:5590")


@pytest.mark.parametrize("address", ["localhost", "127.0.0.2", "[::1]"])
def test_on_loopback_keys_may_be_left_out(address: str) -> None:
    assert not parse_config(f"bus: {{curve: false, tcp_viewers: 'tcp://{address}:5590'}}\n", "f.yaml").bus.curve


def test_a_quota_that_is_to_stay_free_as_a_whole_is_refused_for_a_new_drive_and_read_of_an_old_one(
    tmp_path: Path,
) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("record:\n  retention: {quota_mib: 512}\n", encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"f\.yaml:2: record\.retention\.quota_mib = 512: 512 .* min_free_mib.* raise"
    ):
        load_config(file)
    assert recorded_config(file).record.retention.quota_mib == 512
    with pytest.raises(ConfigError, match="keeps the configuration that drove"):
        recorded_config(tmp_path / "absent.yaml")


def test_a_missing_file_names_the_packaged_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bench\.yaml"):
        load_config(tmp_path / "absent.yaml")


def test_a_model_beside_the_file_comes_before_a_packaged_one(tmp_path: Path) -> None:
    (tmp_path / "pilotnet.onnx").write_bytes(b"mine")
    (tmp_path / "car.yaml").write_text("model: pilotnet.onnx\n", encoding="utf-8")
    assert Path(load_config(tmp_path / "car.yaml").model) == tmp_path / "pilotnet.onnx"
