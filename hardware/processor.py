"""What this machine's CPU is, and which number formats it computes with.

Needs the standard library alone and runs with Python 3.9: profile bundles take this file along.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_INSTRUCTIONS = {
    "bf16": {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16", "svebf16"},
    "fp16": {"avx512_fp16", "amx_fp16", "asimdhp"},
}


def cpu_model() -> str:
    """The processor's name as the operating system reports it; else the board's, else the kind of processor."""
    lines = _lines("/proc/cpuinfo")
    names = [line.partition(":")[2].strip() for line in lines if line.lower().startswith(("model name", "hardware"))]
    board = [line.strip("\0") for line in _lines("/proc/device-tree/model")]
    return next(filter(None, [*names, *board]), "") or platform.processor() or platform.machine()


def computes(precision: str) -> bool:
    """Whether the CPU has instructions for products of this precision (fp32: always)."""
    return precision == "fp32" or bool(_INSTRUCTIONS.get(precision, set()) & _flags())


def needed(precision: str) -> str:
    """The instructions of which `computes` wants one, for messages."""
    return ", ".join(sorted(_INSTRUCTIONS.get(precision, set()))) or "none known"


@cache
def _flags() -> set[str]:
    lines = _lines("/proc/cpuinfo")
    words = {word for line in lines if line.startswith(("flags", "Features")) for word in line.split()}
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        words |= {"asimdhp"}
    return words


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
