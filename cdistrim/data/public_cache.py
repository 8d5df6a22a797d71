"""Where volumes of public data are kept; a site's own cases stay in its directory."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["public_cache"]


def public_cache() -> Path:
    """A directory below the user's cache directory; it need not exist yet."""
    return Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "cdistrim"
