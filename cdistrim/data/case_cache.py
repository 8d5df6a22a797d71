"""Built cases on disk, by the content that they were built from: nothing is built twice.

An entry is the SHA-256 of what follows (32 bytes) and an ``.npz`` file. It has no label, no name
and no date; its file is named by the digest of everything that it depends on.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cdistrim.data.sources.interface import Crop, Plan, Recipe
from cdistrim.site import remove_half_written, write_atomically

__all__ = ["FORMAT_VERSION", "CaseCache", "cache_key"]

FORMAT_VERSION = 2
"""Of what is built: a release that builds other bits from the same inputs counts it up."""

_DIGEST = 32


def cache_key(kind: str, recipe: Recipe, plan: Plan) -> str:
    """Digest of all that a built case depends on, 64 hexadecimal digits.

    Raises:
        CaseExcluded: An input can't be read.
    """
    agreed = plan.preprocessing.model_dump_json() if plan.preprocessing else ""
    parameters = f"cdistrim/built/v{FORMAT_VERSION}\0{kind}\0{plan.shape}\0{agreed}\0"
    hasher = hashlib.sha256(parameters.encode())
    hasher.update(recipe.digest())
    return hasher.hexdigest()


@dataclass(frozen=True)
class CaseCache:
    """A directory of built cases, for its owner only."""

    directory: Path

    def get(self, key: str) -> Crop | None:
        """The case that was kept under a key; None if there is none, or a damaged one."""
        try:
            content = self._path(key).read_bytes()
            if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
                return None
            with np.load(io.BytesIO(content[_DIGEST:]), allow_pickle=False) as kept:
                volume, region = kept["volume"], kept["region"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        return Crop(volume, region if region.size else None)

    def put(self, key: str, crop: Crop) -> None:
        """Keep a case: whole or not at all.

        Raises:
            OSError: It can't be written.
        """
        stream = io.BytesIO()
        region = np.zeros(0, dtype=np.bool_) if crop.region is None else crop.region
        np.savez_compressed(stream, volume=crop.volume, region=region)
        content = stream.getvalue()
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(path, hashlib.sha256(content).digest() + content, durable=False)

    def sweep(self) -> None:
        """Remove what killed processes left half-written."""
        remove_half_written(self.directory)

    def make(self) -> None:
        """Make the directory, and see that it can be written to.

        Raises:
            OSError: It can't.
        """
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = self.directory / f".{secrets.token_hex(8)}.part"
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        probe.unlink()

    def _path(self, key: str) -> Path:
        return self.directory / key[:2] / f"{key}.case"
