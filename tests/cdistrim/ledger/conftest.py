"""Fixtures of the ledger's tests."""

from __future__ import annotations

from tests.chain import consortium, devnet

__all__ = ["consortium", "devnet"]
