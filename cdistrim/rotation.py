"""Replacing a site's sealing key: on the ledger, then on the disk; killed anywhere, it goes on.

The former private key stays: shares that were dealt before are sealed to it, until they are shared
anew (:mod:`cdistrim.resharing`). A key that is lost without a backup counts as a fault of its
holder: models stay openable as long as enough others hold shares.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from cdistrim.errors import ConfigurationError
from cdistrim.site_keys import adopt_next_key, next_key, prepare_next_key, replace_lost_key

if TYPE_CHECKING:
    from cdistrim.site import Site

__all__ = ["Rotation", "publish_after_loss", "rotate"]


class Rotation(Enum):
    """What became of a sealing key."""

    REPLACED = "replaced"
    FINISHED = "replaced before, finished now"
    PUBLISHED = "published"
    """In the place of one that is lost."""


def rotate(site: Site) -> Rotation:
    """Replace the sealing key by a new one, or finish what a killed process began.

    Raises:
        ConfigurationError: The key on the ledger is neither the present nor the next one.
        KeyFileError: The keys don't open, or can't be written.
    """
    directory, passphrase = site.directory / "keys", site.passphrase()
    present = site.keys.sealing_key.public_bytes
    known = _on_ledger(site)
    if known != present:
        coming = next_key(directory, passphrase)
        if coming is not None and coming.public_bytes == known:
            adopt_next_key(directory, passphrase)
            return Rotation.FINISHED
        raise ConfigurationError(
            f"The sealing key of {site.name} on the ledger is not the one in its key file.",
            hint="Restore the site's keys from a backup. If there is none: cdistrim site "
            f"rotate-key {site.directory} --lost",
        )
    coming = prepare_next_key(directory, passphrase)
    site.ledger.publish_key(sealing_key=coming.public_bytes)
    adopt_next_key(directory, passphrase)
    return Rotation.REPLACED


def publish_after_loss(site: Site) -> Rotation:
    """Publish this site's sealing key in the place of one that is lost; made if there is none.

    Raises:
        ConfigurationError: It is not lost.
        KeyFileError: The account's key does not open.
    """
    directory = site.directory / "keys"
    if not (directory / "sealing.key").exists():
        replace_lost_key(directory, site.passphrase())
    if _on_ledger(site) == site.keys.sealing_key.public_bytes:
        raise ConfigurationError(
            f"The sealing key of {site.name} on the ledger is not lost: it is in its key file.",
            hint=f"Nothing was done. To replace it: cdistrim site rotate-key {site.directory}",
        )
    site.ledger.publish_key(sealing_key=site.keys.sealing_key.public_bytes)
    return Rotation.PUBLISHED


def _on_ledger(site: Site) -> bytes:
    return next(
        (one.sealing_key for one in site.ledger.members() if one.account == site.account), b""
    )
