"""How fast a campaign goes, and when it will be over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Pace"]


@dataclass
class Pace:
    """Estimates the time left from the slots measured so far. Not thread-safe by itself."""

    clock: Callable[[], float] = time.monotonic
    slots: int = 0
    ended: int = 0
    _durations: list[float] = field(default_factory=list)
    _began: float | None = None

    def begin(self, slot: int) -> None:
        """A slot begins now; those before it are over, whether that was told or not."""
        if self._began is not None:
            self.end()
        self.ended = slot - 1
        self._began = self.clock()

    def end(self) -> float | None:
        """A slot ended; its duration in seconds, None if its beginning was not seen."""
        self.ended += 1
        if self._began is None:
            return None
        duration = self.clock() - self._began
        self._durations.append(duration)
        self._began = None
        return duration

    def left(self) -> float | None:
        """Seconds left, None before the first slot was measured."""
        if not self._durations:
            return None
        mean = sum(self._durations) / len(self._durations)
        whole = max(0, self.slots - self.ended)
        if self._began is None:
            return mean * whole
        running = max(0.0, mean - (self.clock() - self._began))
        return running + mean * max(0, whole - 1)
