"""Where the chain's binary is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from cdistrim.errors import ConfigurationError

__all__ = ["find_anvil"]


def find_anvil() -> Path:
    """The anvil binary: ``$CDISTRIM_ANVIL``, the checkout's npm package, or the one on ``PATH``.

    Raises:
        ConfigurationError: There is none.
    """
    named = os.environ.get("CDISTRIM_ANVIL")
    if named:
        if os.access(named, os.X_OK) and Path(named).is_file():
            return Path(named)
        raise ConfigurationError(
            f"CDISTRIM_ANVIL is {named!r}, which is no executable file.",
            hint="Correct or unset it.",
        )
    modules = Path(__file__).resolve().parents[2] / "contracts" / "node_modules"
    for candidate in sorted(modules.glob("@foundry-rs/anvil-*/bin/anvil")):
        if os.access(candidate, os.X_OK):
            return candidate
    on_path = shutil.which("anvil")
    if on_path:
        return Path(on_path)
    raise ConfigurationError(
        "The development chain needs anvil, and there is none.",
        hint="Run `make setup`, or set CDISTRIM_ANVIL to an anvil binary.",
    )
