"""NVIDIA's Python bindings of TensorRT, 10.3 and later or 11, found where they are installed.

They carry no types. The names below say of which of their classes a value is; a test reads them, and holds every
attribute, method and keyword that this package uses against real bindings of both major versions.
"""

from __future__ import annotations

import importlib
import re
from collections import deque
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from runtime.contracts.errors import EngineError

Builder = Any
DataType = Any
IBuilderConfig = Any
ICudaEngine = Any
IExecutionContext = Any
IHostMemory = Any
ILogger = Any
INetworkDefinition = Any
IProgressMonitor = Any
ITensor = Any
ITimingCache = Any
OnnxParser = Any
ParserError = Any
Runtime = Any

_OLDEST, _AFTER_NEWEST = (10, 3), (12, 0)
_KEPT_LINES = 20


@dataclass
class Log:
    """What TensorRT said, the last lines of it: its calls answer with None, and the reason is here."""

    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_KEPT_LINES))

    def why(self) -> str:
        """The errors in one line."""
        return " / ".join(dict.fromkeys(self.lines)) or "TensorRT gave no reason"


def load() -> ModuleType:
    """The module `tensorrt`. Raises EngineError where it is not there or not a version that this package knows."""
    try:
        trt = importlib.import_module("tensorrt")
        found = str(trt.__version__)
    except (ImportError, AttributeError) as error:
        raise EngineError(
            f"engine.backend is tensorrt, which cannot be imported ({error}); on JetPack install python3-libnvinfer "
            "and make the environment see it (scripts/link-system-packages), elsewhere `pip install tensorrt-cu12` or "
            "tensorrt-cu13, by the driver"
        ) from error
    numbers = tuple(int(number) for number in re.findall(r"\d+", found)[:2])
    if not _OLDEST <= numbers < _AFTER_NEWEST:
        raise EngineError(f"TensorRT {found} is installed; install one from 10.3 to 11")
    return trt


def make_logger(trt: ModuleType, log: Log) -> ILogger:
    """A logger that keeps errors in `log`. It must outlive every object made with it."""
    worst_kept = int(trt.ILogger.Severity.ERROR)

    class Logger(trt.ILogger):  # type: ignore[name-defined, misc]
        """TensorRT's log, errors only. Called from its own threads."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            """One line."""
            if int(severity) <= worst_kept:
                log.lines.append(" ".join(msg.split()))

    return Logger()
