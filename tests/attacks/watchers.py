"""Everything that ever lay in some directories, however short, and what can be found in it.

A watcher looks again and again, keeps each piece of each file that it has not seen before, and is
asked afterwards: what shall not lie there is known only when all is over.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cdistrim.progress import Silent, listen_with

__all__ = ["Watcher", "spellings"]

_PAGE = 4096
"""As SQLite's, so that a database's new pages are told from those that stayed."""
_OVERLAP = 256
"""Bytes that a piece shares with the next: whatever is looked for is not longer."""


def spellings(secret: bytes) -> tuple[bytes, ...]:
    """How a secret may be written: raw, in hexadecimal, in Base64 wherever in a longer text."""
    shifted = (base64.b64encode(bytes(shift) + secret) for shift in range(3))
    encoded = [text[4 if shift else 0 : -4] for shift, text in enumerate(shifted)]
    urlsafe = [text.translate(bytes.maketrans(b"+/", b"-_")) for text in encoded]
    return (secret, secret.hex().encode(), secret.hex().upper().encode(), *encoded, *urlsafe)


class Watcher(Silent):
    """Looks into directories: at each step that is told, and several times a second.

    Args:
        tops: The directories.
        pause: Seconds between two looks of its own.
    """

    def __init__(self, *tops: Path, pause: float = 0.1) -> None:
        self._tops = tops
        self._pause = pause
        self._lock = threading.Lock()
        self._state: dict[Path, tuple[int, int]] = {}
        self._known: set[bytes] = set()
        self._pieces: dict[Path, list[bytes]] = defaultdict(list)
        self.looks = 0

    def look(self) -> None:
        """Keep what is new."""
        with self._lock:
            self.looks += 1
            for top in self._tops:
                for path in top.rglob("*"):
                    try:
                        self._look_into(path)
                    except OSError:
                        continue  # It is gone again.

    def _look_into(self, path: Path) -> None:
        if not path.is_file():
            return
        now = path.stat()
        if self._state.get(path) == (now.st_size, now.st_mtime_ns):
            return
        content = path.read_bytes()
        self._state[path] = (now.st_size, now.st_mtime_ns)
        for start in range(0, len(content), _PAGE):
            piece = content[start : start + _PAGE + _OVERLAP]
            digest = hashlib.blake2b(str(path).encode() + piece, digest_size=16).digest()
            if digest not in self._known:
                self._known.add(digest)
                self._pieces[path].append(piece)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look for as long as the block lasts, at the end, too."""
        over = threading.Event()

        def again() -> None:
            while not over.wait(self._pause):
                self.look()

        thread = threading.Thread(target=again, daemon=True)
        listen_with(self)
        thread.start()
        try:
            yield
        finally:
            listen_with(Silent())
            over.set()
            thread.join()
            self.look()

    def contents(self, path_ends: str) -> Iterator[tuple[Path, bytes]]:
        """Whole contents of small files whose name ends so, each that there ever was."""
        for path, pieces in self._pieces.items():
            if path.name.endswith(path_ends):
                yield from ((path, piece) for piece in pieces)

    def where(self, needles: Iterable[bytes]) -> set[Path]:
        """Files in which one of these lay at some time; each of 8 to 256 bytes."""
        wanted = tuple(needles)
        assert all(8 <= len(needle) <= _OVERLAP for needle in wanted)
        return {
            path
            for path, pieces in self._pieces.items()
            if any(needle in piece for piece in pieces for needle in wanted)
        }

    # --- what steps tell ---

    def step(self, _slot: int, _hospital: str, _name: str) -> None:
        self.look()

    def training(self, _slot: int, *_state: object) -> None:
        self.look()

    def vote(self, _slot: int, *_answer: object) -> None:
        self.look()

    def slot_ended(self, _slot: int, *_outcome: object) -> None:
        self.look()
