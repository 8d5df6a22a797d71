"""Recipes of cases for tests: good ones, hostile ones, and one that kills the process it is in."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import warnings
from dataclasses import dataclass

import numpy as np

from cdistrim.data.scan import CaseExcluded, Exclusion
from cdistrim.data.sources.interface import Crop, Plan

__all__ = ["Ball", "Broken", "Deadly", "Greedy", "Talkative"]


@dataclass(frozen=True)
class Ball:
    """A ball of a radius, in [0, 1]; the diary has a line for each time that one is built."""

    radius: float
    diary: str = ""

    @property
    def scan_digest(self) -> bytes:
        return self.digest()

    def digest(self) -> bytes:
        return hashlib.sha256(repr(self.radius).encode()).digest()

    def build(self, plan: Plan) -> Crop:
        if self.diary:
            with open(self.diary, "a") as stream:  # noqa: PTH123
                stream.write(f"{self.radius}\n")
        axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in plan.shape), indexing="ij")
        distance = np.sqrt(sum(axis**2 for axis in axes))
        volume = np.clip(self.radius + 0.5 - distance, 0, 1)
        return Crop(volume.astype(np.float16), distance < self.radius)


@dataclass(frozen=True)
class Broken:
    """A case that is left out."""

    detail: str = "3 slices"

    @property
    def scan_digest(self) -> bytes:
        return self.digest()

    def digest(self) -> bytes:
        return bytes(32)

    def build(self, plan: Plan) -> Crop:  # noqa: ARG002
        raise CaseExcluded(Exclusion.MISSING_SLICES, self.detail)


@dataclass(frozen=True)
class Talkative:
    """A reader that tells everything that it finds, and then fails in a way nobody foresaw."""

    secret: str

    @property
    def scan_digest(self) -> bytes:
        return self.digest()

    def digest(self) -> bytes:
        return hashlib.sha256(self.secret.encode()).digest()

    def build(self, plan: Plan) -> Crop:  # noqa: ARG002
        print(self.secret)  # noqa: T201
        print(self.secret, file=sys.stderr)  # noqa: T201
        os.write(2, self.secret.encode())
        warnings.warn(self.secret, stacklevel=1)
        raise KeyError(self.secret)


@dataclass(frozen=True)
class Greedy:
    """A case for which there is no memory."""

    @property
    def scan_digest(self) -> bytes:
        return self.digest()

    def digest(self) -> bytes:
        return bytes(32)

    def build(self, plan: Plan) -> Crop:  # noqa: ARG002
        raise MemoryError


@dataclass(frozen=True)
class Deadly:
    """A case that has its process killed, as the system does when memory runs out."""

    @property
    def scan_digest(self) -> bytes:
        return self.digest()

    def digest(self) -> bytes:
        return b"\1" * 32

    def build(self, plan: Plan) -> Crop:  # noqa: ARG002
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable")
