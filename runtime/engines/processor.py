"""What the arithmetic runs on, for the fingerprint: kernels are chosen by the processor's vector extensions."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_NVIDIA_SMI_TIMEOUT_S = 10.0
# The extensions that ONNX Runtime's and other libraries' CPU kernels branch on.
_X86_EXTENSIONS = (
    *("sse4_1", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512dq", "avx512vl"),
    *("avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16"),
)
_ARM_EXTENSIONS = (
    *("asimd", "fphp", "asimdhp", "asimddp", "asimdfhm", "i8mm", "bf16", "sve", "svei8mm", "svebf16", "sve2", "sme"),
)
_MODEL_KEYS = ("model name", "Model", "cpu model")
_ARM_KEYS = ("CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision")


def cpu() -> str:
    """The CPU's model and the vector extensions that kernels are chosen by."""
    try:
        return described_cpu(_CPUINFO.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return platform.processor() or platform.machine()


def described_cpu(cpuinfo: str) -> str:
    """As `cpu`, from the text of /proc/cpuinfo. On a chip with several kinds of cores, every kind is named."""
    models: dict[str, None] = {}
    flags: set[str] = set()
    for block in cpuinfo.split("\n\n"):
        fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in block.splitlines())}
        flags.update((fields.get("flags") or fields.get("Features") or "").split())
        named = next((fields[key] for key in _MODEL_KEYS if fields.get(key)), "")
        arm = " ".join(fields[key] for key in _ARM_KEYS if fields.get(key))
        if named or arm:
            models[named or f"Arm {arm}"] = None
    extensions = " ".join(name for name in _X86_EXTENSIONS + _ARM_EXTENSIONS if name in flags)
    return f"{' + '.join(models) or platform.machine()} [{extensions}]"


def nvidia_gpus() -> str:
    """Name, compute capability and driver of every NVIDIA GPU as its driver tells them; "" where there is none."""
    query = ["nvidia-smi", "--query-gpu=name,compute_cap,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=_NVIDIA_SMI_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return "; ".join(line.strip() for line in answer.stdout.splitlines() if line.strip())


def system() -> str:
    """Operating system, machine, and the C library whose mathematics is used, e.g. `Linux x86_64 glibc 2.36`."""
    return " ".join(filter(None, (platform.system(), platform.machine(), *platform.libc_ver())))
