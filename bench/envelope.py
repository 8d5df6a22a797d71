"""How fast a model is encrypted and decrypted, beside what the machine's AES can do.

One thread, 133 MB: the size of the hop's model. The yardstick is ``openssl speed`` with AES-256-GCM
on blocks of 16 KiB, the largest that it measures by default. It runs before each turn of ours, so
that both see the same machine. It works on one block again and again, in the processor's caches; a
model comes from memory and goes to memory that is fresh to the process.

A turn that is not counted goes before each that is. The host of a virtual machine takes back what
its guest has left unused for seconds; the turn that finds its memory so is ten times slower, which
says nothing about envelopes. These turns are in ``results.json`` as ``cold``.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

__all__ = ["EnvelopeSpeed", "measure_envelope"]

SIZE = 133_000_000
BLOCK = 16384
ROUNDS = 9


@dataclass(frozen=True)
class Turns:
    """One direction: bytes a second of ours and of openssl, turn by turn.

    ``peak`` is the resident memory that a turn took at most, beyond what it was given, as a share
    of the model's size.
    """

    cold: list[float]
    ours: list[float]
    openssl: list[float]
    peak: float


@dataclass(frozen=True)
class EnvelopeSpeed:
    """Envelopes of ``size`` bytes, and openssl on blocks of ``block`` bytes."""

    size: int
    block: int
    encrypt: Turns
    decrypt: Turns

    def figures(self) -> dict[str, Any]:
        """For ``results.json``."""
        return asdict(self)

    @staticmethod
    def rows(figures: Any) -> list[str]:  # noqa: ANN401  as read from JSON
        """Rows of the README's table."""
        rows = []
        for name in ("encrypt", "decrypt"):
            turns = figures[name]
            pairs = zip(turns["ours"], turns["openssl"], strict=True)
            share = statistics.median(ours / yardstick for ours, yardstick in pairs)
            speed = statistics.median(turns["ours"]) / 1e9
            label = (
                f"{name}ing a model of {figures['size'] / 1e6:.0f} MB, one thread, as a share of "
                f"`openssl speed -evp aes-256-gcm -bytes {figures['block']}` (median of "
                f"{len(turns['ours'])}); speed; memory that it takes, over the model's size"
            )
            rows.append(f"| {label} | {share:.2f}; {speed:.1f} GB/s; {turns['peak']:.2f} |")
        return rows


def measure_envelope() -> EnvelopeSpeed:
    """Encrypt and decrypt in turns with openssl."""
    from cdistrim.envelope import Context, decrypt, encrypt, new_data_key

    key, context = new_data_key(), Context(1, "0x" + "ab" * 20, 1, 1, 0, "0x" + "cd" * 20)
    plaintext = os.urandom(SIZE)
    envelope = encrypt(plaintext, key, context)
    return EnvelopeSpeed(
        SIZE,
        BLOCK,
        _turns(lambda: encrypt(plaintext, key, context), ()),
        _turns(lambda: decrypt(envelope, key, context), ("-decrypt",)),
    )


def _turns(turn: Callable[[], bytes], options: tuple[str, ...]) -> Turns:
    peak = _peak(turn)
    cold, ours, yardstick = [], [], []
    for _ in range(ROUNDS):
        yardstick.append(_openssl(options))
        cold.append(_speed(turn))
        ours.append(_speed(turn))
    return Turns(cold, ours, yardstick, peak / SIZE)


def _speed(turn: Callable[[], bytes]) -> float:
    """Bytes a second. What was made is gone afterwards."""
    began = time.perf_counter()
    made = turn()
    seconds = time.perf_counter() - began
    del made
    return SIZE / seconds


def _openssl(options: tuple[str, ...]) -> float:
    """Bytes a second of one thread of the machine's openssl, measured for a second."""
    program = shutil.which("openssl")
    if program is None:
        raise SystemExit("There is no openssl to compare with: install it.")
    command = [program, "speed", "-mr", "-elapsed", "-seconds", "1", "-bytes", str(BLOCK)]
    command += [*options, "-evp", "aes-256-gcm"]
    told = subprocess.run(command, capture_output=True, check=True, text=True).stdout  # noqa: S603
    line = next(line for line in told.splitlines() if line.startswith("+F:"))
    return float(line.rpartition(":")[2])


def _peak(turn: Callable[[], bytes]) -> int:
    """Bytes by which this process grew at most during a turn."""
    Path("/proc/self/clear_refs").write_text("5")  # Linux counts the peak anew from here.
    before = _resident("VmRSS")
    turn()
    return _resident("VmHWM") - before


def _resident(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
