"""What the configuration asks for is had or refused, and a drive whose input a GPU made is replayed bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from review.replay import replay
from runtime.contracts.config import Config, EngineConfig, dump_config, load_config
from runtime.contracts.errors import EngineError
from runtime.contracts.model import ImageInput, read_manifest
from runtime.contracts.source import Picture
from runtime.contracts.topics import MODEL_INPUT
from runtime.decision.tensors import unpack_tensor
from runtime.driving import __main__ as driving
from runtime.engines.preprocessing import open as opening
from runtime.engines.preprocessing.open import open_preprocess
from runtime.engines.preprocessing.session import PreprocessingSession
from runtime.preprocess import preprocess
from runtime.record.drive import open_drive
from runtime.supervise.plan import RunPlan
from tests.models import tiny_policy, two_camera_policy
from tests.runtime.driving.test_process import a_plan
from tests.runtime.record.recording import RecorderProcess

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


def asking_for_a_gpu(plan: RunPlan) -> RunPlan:
    """The same run, but of the configuration that is recorded."""
    engine = msgspec.structs.replace(plan.config.engine, preprocessing="gpu")
    config = msgspec.structs.replace(plan.config, engine=engine)
    plan.config_path.write_text(dump_config(config), encoding="utf-8")
    return msgspec.structs.replace(plan, config=config)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (EngineConfig(preprocessing="gpu"), r"names no CUDAExecutionProvider; put it first"),
        (EngineConfig(preprocessing="gpu", backend="tensorrt"), r"engine\.backend is 'tensorrt'; take"),
        (EngineConfig(preprocessing="gpu", providers=(CUDA, CPU)), r"install onnxruntime-gpu"),
    ],
    ids=["no provider", "tensorrt", "no such build"],
)
def test_a_gpu_that_cannot_be_had_is_refused_with_what_to_do(config: EngineConfig, said: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_policy())
    with pytest.raises(EngineError, match=said):
        open_preprocess(config, read_manifest(path))


def test_without_a_word_it_is_opencv(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_policy())
    assert open_preprocess(Config().engine, read_manifest(path)) is preprocess


def test_the_driving_process_refuses_a_gpu_that_is_not_there_before_the_source_is_opened(
    tmp_path: Path,
) -> None:
    plan = asking_for_a_gpu(a_plan(tmp_path, "nothing://", "lockstep"))
    with pytest.raises(EngineError, match=r"engine\.preprocessing is gpu"):
        driving.DrivingProcess(plan).run()


def test_a_drive_records_what_the_graph_made_and_replays_it_bit_for_bit_where_there_is_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[NDArray[np.uint8]] = []

    def opened(config: EngineConfig, manifest: Any) -> Any:
        assert config.preprocessing == "gpu"
        session = PreprocessingSession(manifest.images[0], CPU, "cpu")  # the graph, on the provider that is here

        def keep(picture: Picture, _: ImageInput) -> NDArray[np.uint8]:
            seen.append(255 - session(picture))  # such as OpenCV never gives
            return seen[-1]

        return keep

    monkeypatch.setattr(driving, "open_preprocess", opened)
    plan = asking_for_a_gpu(a_plan(tmp_path, "proving-ground://lane?seed=3&duration_s=1", "lockstep"))
    with RecorderProcess(plan) as recorder:
        assert driving.DrivingProcess(plan).run().phase == "done"
        assert recorder.end() == 0
    drive = open_drive(Path(plan.drive_dir))
    recorded = [unpack_tensor(message.decode().tensors[0]) for message in drive.messages(MODEL_INPUT)]
    assert [one.tobytes() for one in recorded] == [one.tobytes() for one in seen]
    assert load_config(plan.config_path).engine.preprocessing == "gpu"
    report = replay(Path(plan.drive_dir), workers=1)
    assert report.verdict == "identical"
    assert report.frames == len(seen) > 0


def test_each_image_input_has_a_session_of_its_own_on_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str, int]] = []

    def here(image: ImageInput, provider: str, device: str, threads: int) -> PreprocessingSession:
        asked.append((image.name, provider, device, threads))
        return PreprocessingSession(image, CPU, "cpu", threads)

    monkeypatch.setattr(opening, "PreprocessingSession", here)
    path = tmp_path / "model.onnx"
    path.write_bytes(two_camera_policy())
    manifest = read_manifest(path)
    made = open_preprocess(EngineConfig(preprocessing="gpu", providers=(CUDA, CPU), threads=2), manifest)
    assert asked == [("image_left", CUDA, "cuda", 2), ("image_right", CUDA, "cuda", 2)]
    random = np.random.default_rng(0)
    for image, size in zip(manifest.images, [(132, 402), (99, 333)], strict=True):  # cameras of two sizes
        picture = random.integers(0, 256, (*size, 3), dtype=np.uint8)
        assert np.abs(made(picture, image).astype(int) - preprocess(picture, image)).max() <= 1
