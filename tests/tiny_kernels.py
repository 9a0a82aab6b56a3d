"""Kernels of a few riscv64 instructions, for QEMU's machine virt: they run within a moment."""

from __future__ import annotations

from pathlib import Path

MACHINE = "-machine virt -bios none"
"""How QEMU runs them: it jumps to their first byte."""

_UART = 0x10000000
"""An NS16550: the byte to send or the one received, and at 5 whether there is one."""
_TEST = 0x100000
"""A device of the machine: what is written to it ends QEMU."""
_PASS = 0x5555
_FAIL = 0x3333

_T0, _T1, _T2 = 5, 6, 7
_FOR_EVER = (0x6F).to_bytes(4, "little")
"""A jump to itself."""


def _lui(register: int, value: int) -> bytes:
    return (value & 0xFFFFF000 | register << 7 | 0x37).to_bytes(4, "little")


def _addi(register: int, source: int, value: int) -> bytes:
    return (value << 20 | source << 15 | register << 7 | 0x13).to_bytes(4, "little")


def _store(width: int, register: int, base: int) -> bytes:
    """A byte (0) or a word (2), to where another register points."""
    return (register << 20 | base << 15 | width << 12 | 0x23).to_bytes(4, "little")


def _load_byte(register: int, base: int, offset: int) -> bytes:
    return (offset << 20 | base << 15 | 4 << 12 | register << 7 | 0x03).to_bytes(4, "little")


def _says(text: str) -> bytes:
    code = _lui(_T0, _UART)
    for byte in text.encode():
        code += _addi(_T1, 0, byte) + _store(0, _T1, _T0)
    return code


def waits(text: str) -> bytes:
    """One that says something and stays."""
    return _says(text) + _FOR_EVER


def ends(text: str, status: int) -> bytes:
    """One that says something and ends QEMU with a status."""
    value = _FAIL | status << 16 if status else _PASS
    code = _says(text) + _lui(_T2, _TEST) + _lui(_T1, value) + _addi(_T1, _T1, value & 0xFFF)
    return code + _store(2, _T1, _T2) + _FOR_EVER


def echoes(text: str) -> bytes:
    """One that says something, and then says again what is typed."""
    loop = (
        _load_byte(_T1, _T0, 5)
        + (1 << 20 | _T1 << 15 | 7 << 12 | _T1 << 7 | 0x13).to_bytes(4, "little")  # andi t1, t1, 1
        + (0xFE030CE3).to_bytes(4, "little")  # beq t1, zero, -8
        + _load_byte(_T1, _T0, 0)
        + _store(0, _T1, _T0)
        + (0xFEDFF06F).to_bytes(4, "little")  # j -20
    )
    return _says(text) + loop


def write(directory: Path, code: bytes, name: str = "kernel") -> Path:
    """A kernel as a file."""
    path = directory / name
    path.write_bytes(code)
    return path
