"""Where is kept what is nobody's secret and takes long to make; a site's own cases stay with it."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["public_cache"]


def public_cache() -> Path:
    """A directory below the user's cache directory; it need not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "cdistrim"
