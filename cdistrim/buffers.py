"""Memory for a whole model: reserved once, filled in place, and taken out as ``bytes``.

A model that is joined out of pieces lies in memory twice for a moment. And what costs most with
fresh memory is neither the cipher nor a copy but that the kernel hands it out by pages of 4 KiB:
it is asked for large ones (``make bench``, the rows of the envelope).
"""

from __future__ import annotations

import ctypes
import io
import mmap

__all__ = ["Reserved"]

_WORTH_IT = 1 << 22
"""Below 4 MiB nobody notices; NumPy draws the line there, too."""


class Reserved:
    """``size`` bytes that are written in order, each part into a room of its own."""

    def __init__(self, size: int) -> None:
        # BytesIO takes these bytes over and gives them back as they are: no copy is made as long
        # as nobody else holds them.
        self._stream = io.BytesIO(bytes(size))
        self._view = self._stream.getbuffer()
        self._used = 0
        if size >= _WORTH_IT:
            _ask_for_large_pages(self._view)

    def room(self, size: int) -> memoryview:
        """The next ``size`` bytes, to be filled ``with`` them at hand."""
        room = self._view[self._used : self._used + size]
        self._used += size
        return room

    def take(self) -> bytes:
        """What was written; once. While a room is still held this is a copy."""
        self._view.release()
        return self._stream.getvalue()


def _ask_for_large_pages(view: memoryview) -> None:
    """Advise the kernel (madvise(2), MADV_HUGEPAGE); a kernel without them changes nothing."""
    try:
        advise, advice = ctypes.CDLL(None).madvise, mmap.MADV_HUGEPAGE
    except (AttributeError, OSError):
        return  # Neither Linux nor anything that knows such pages: slower, and right all the same.
    address = ctypes.addressof(ctypes.c_char.from_buffer(view))
    first = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
    last = (address + len(view)) // mmap.PAGESIZE * mmap.PAGESIZE
    advise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), ctypes.c_int(advice))
