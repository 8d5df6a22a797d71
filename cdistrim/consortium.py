"""A consortium on one machine: sites with keys and data, a contract, a store, a coordinator.

What the demo, ``cdistrim up`` and the tests start from. In production each hospital makes its own
site (`cdistrim site init`) and one member deploys the contract; nothing else differs.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cdistrim.coordinator import Coordinator, CoordinatorSettings
from cdistrim.data.cases import SiteData
from cdistrim.errors import ConfigurationError
from cdistrim.ledger import EthereumLedger, Member
from cdistrim.ledger.interface import NAME_PATTERN, NAME_RULE
from cdistrim.passphrase import read_passphrase
from cdistrim.settings import ContractAddress, Settings, matching
from cdistrim.site import PASSPHRASE_FILE, Site, SiteSettings, write_atomically
from cdistrim.site_keys import create_site_keys, load_site_keys
from cdistrim.store import ObjectStore

__all__ = ["Consortium", "found_consortium"]

_FILE = "consortium.json"


class _Founded(Settings):
    """``consortium.json``. A site's directory has its name: it leads nowhere else."""

    sites: tuple[Annotated[str, matching(NAME_PATTERN, NAME_RULE)], ...]
    contract: ContractAddress


@dataclass(frozen=True)
class Consortium:
    """Where everything lies. ``sites`` are directories by partner name, in order."""

    directory: Path
    sites: Mapping[str, Path]
    contract: str

    @classmethod
    def open(cls, directory: Path) -> Consortium:
        """The consortium that was founded in ``directory``.

        Raises:
            ConfigurationError: None was, or not to the end, or its file says something else.
        """
        found = _Founded.read(
            directory / _FILE,
            missing=ConfigurationError(
                f"There is no consortium in {directory}.", hint="Check the run's id."
            ),
        )
        return cls(directory, {name: directory / name for name in found.sites}, found.contract)

    @property
    def store(self) -> Path:
        """Directory of the embedded store."""
        return self.directory / "store"

    @property
    def coordinator(self) -> Path:
        """The coordinator's directory."""
        return self.directory / "coordinator"

    def accounts(self) -> dict[str, Path]:
        """Directory of each site, by account."""
        return {Site(path).account: path for path in self.sites.values()}

    def point_to(self, ledger_url: str) -> None:
        """Tell everybody the chain's address: a development chain may come back at another."""
        for path in self.sites.values():
            settings = Site(path).settings
            if settings.ledger_url != ledger_url:
                Site.create(path, settings.model_copy(update={"ledger_url": ledger_url}))
        coordinator = Coordinator(self.coordinator).settings
        if coordinator.ledger_url != ledger_url:
            Coordinator.create(
                self.coordinator, coordinator.model_copy(update={"ledger_url": ledger_url})
            )


def found_consortium(
    directory: Path,
    data: Mapping[str, SiteData],
    *,
    ledger_url: str,
    chain_id: int,
    store_url: str | None = None,
) -> Consortium:
    """Make sites with throwaway keys, deploy the contract, and write down where everything is.

    Each step is skipped where it was done before, so a call that was killed can be repeated.

    Args:
        directory: Of the whole consortium; sites become its subdirectories.
        data: Each partner's cases, by name, in order.
        ledger_url: The development chain; members need no ether there.
        chain_id: Its id.
        store_url: The common store; None for a directory beside the sites.
    """
    if (directory / _FILE).exists():
        consortium = Consortium.open(directory)
        consortium.point_to(ledger_url)
        return consortium
    store_url = store_url or f"file://{(directory / 'store').resolve()}"
    ObjectStore(store_url).make()
    founders = [_prepare_site(directory / name, name, data[name]) for name in data]
    deployer = load_site_keys(
        directory / next(iter(data)) / "keys",
        read_passphrase(file=directory / next(iter(data)) / PASSPHRASE_FILE),
    )
    deployment = EthereumLedger.deploy(
        ledger_url, chain_id=chain_id, private_key=deployer.private_key, founders=founders
    )
    contract = deployment.contract
    for name in data:
        _publish_key(directory / name, ledger_url, chain_id, contract)
        Site.create(
            directory / name,
            SiteSettings(
                name=name,
                ledger_url=ledger_url,
                chain_id=chain_id,
                contract=contract,
                store_url=store_url,
            ),
        )
    Coordinator.create(
        directory / "coordinator",
        CoordinatorSettings(
            ledger_url=ledger_url, chain_id=chain_id, contract=contract, convener=next(iter(data))
        ),
    )
    document = json.dumps({"sites": list(data), "contract": contract}, indent=2)
    write_atomically(directory / _FILE, document.encode())
    return Consortium.open(directory)


def _publish_key(directory: Path, ledger_url: str, chain_id: int, contract: str) -> None:
    keys = load_site_keys(directory / "keys", read_passphrase(file=directory / PASSPHRASE_FILE))
    ledger = EthereumLedger.connect(
        ledger_url, contract, chain_id=chain_id, account=keys.private_key
    )
    ledger.publish_key(sealing_key=keys.sealing_key.public_bytes)


def _prepare_site(directory: Path, name: str, data: SiteData) -> Member:
    """Keys and data of one site; what the contract has to know of it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    passphrase_file = directory / PASSPHRASE_FILE
    if not passphrase_file.exists():
        write_atomically(passphrase_file, secrets.token_urlsafe(24).encode())
    passphrase = read_passphrase(file=passphrase_file)
    keys_directory = directory / "keys"
    if keys_directory.is_dir():
        keys = load_site_keys(keys_directory, passphrase)
    else:
        keys = create_site_keys(keys_directory, passphrase, quick=True)
    data.save(directory / "data")
    return Member(keys.account, name, keys.sealing_key.public_bytes)
