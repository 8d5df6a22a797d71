"""A site: one hospital's directory, and what hangs on it.

::

    <site>/
      site.json          settings (no secrets)
      passphrase         unlocks the keys; 0600; may come from elsewhere, see `site_keys`
      keys/              account and sealing key, encrypted
      data/              train.npz, holdout.npz, salts.json, commitments, and what `cdistrim data
                         prepare` keeps (docs/data.md): never leave this directory
      memory/            scores of models, objects found whole: spares work, can be deleted
      approved/          one empty file a campaign spec that the local operator approved, by hash
      refused/           the same for those that he refused
      checkpoints/       what the site has signed of the ledger's history; kept for ever
      work/              of the slot at hand: its one-time key and, encrypted, the checkpoint of its
                         training; the leases
      log/               full texts of failures and the seconds of each step; never sent anywhere

Nothing in a flow's parameters says which site it is: a process (or, where one process plays several
sites, a context) is *bound* to one directory, so a hostile scheduler can't point a flow elsewhere.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

from pydantic import Field, ValidationError

from cdistrim.accelerator import Accelerator
from cdistrim.data.sources.settings import DataSettings
from cdistrim.errors import ConfigurationError, UsageError
from cdistrim.handwritten import MAX_FILE
from cdistrim.ledger.interface import MAX_FEE_GWEI, NAME_PATTERN, NAME_RULE, Confirmations
from cdistrim.places import SPECS
from cdistrim.private_files import refuse_foreign_writers
from cdistrim.settings import ContractAddress, LedgerUrl, Settings, StoreUrl, matching
from cdistrim.spec import CampaignSpec
from cdistrim.terms import require_terms

if TYPE_CHECKING:
    from cdistrim.data.cases import SiteData
    from cdistrim.ledger import EthereumLedger
    from cdistrim.protocol import CampaignView
    from cdistrim.site_keys import SiteKeys
    from cdistrim.store import ObjectStore

__all__ = [
    "SITE_VARIABLE",
    "Site",
    "SiteSettings",
    "SpecAnswer",
    "bound_site",
    "remove_half_written",
    "site_bound_to",
    "write_atomically",
    "writing_atomically",
]

SITE_VARIABLE = "CDISTRIM_SITE"
"""Environment variable that binds a process to one site directory."""

PASSPHRASE_FILE = "passphrase"  # noqa: S105  a file's name

_TRUSTED = (".", "site.json", "approved", "data", "memory", "refused", "work")
"""What a site believes: settings, answers, cases, what it has found out."""

_bound: ContextVar[Path | None] = ContextVar("cdistrim_site", default=None)


class SpecAnswer(Enum):
    """What the local operator said to a spec. Only an approval lets anything run."""

    NONE = "not approved"
    APPROVED = "approved"
    REFUSED = "refused"


class SiteSettings(Settings):
    """``site.json``. URLs and ids only; nothing here is secret.

    ``contract`` is None until the site has joined a consortium. ``first_block`` is one not after
    the contract's first: events are read from there. ``max_fee_gwei`` is the highest fee per unit
    of gas, in gwei, that a transaction of this site may offer. ``checkpoint_seconds`` is how long a
    training goes on at least between two checkpoints, in seconds; with 0 there is one after each
    batch but an epoch's last. ``accelerator`` is what the site trains and measures on. ``data``
    says where its cases come from; None where sets of cases are put into its directory by hand.
    """

    name: Annotated[str, matching(NAME_PATTERN, NAME_RULE)]
    ledger_url: LedgerUrl
    chain_id: Annotated[int, Field(gt=0)]
    contract: ContractAddress | None = None
    store_url: StoreUrl
    passphrase_file: str | None = PASSPHRASE_FILE
    confirmations: Confirmations = 0
    first_block: Annotated[int, Field(ge=0)] = 0
    max_fee_gwei: Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)] = MAX_FEE_GWEI
    checkpoint_seconds: Annotated[float, Field(ge=0, le=24 * 3600)] = 60.0
    accelerator: Accelerator = Accelerator.AUTO
    data: DataSettings | None = None


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Write a file so that a crash leaves the old one or the new one, never half of one.

    Without ``durable`` that holds for a killed process only, not for a power cut: for copies that
    can be made again.
    """
    with writing_atomically(path, mode=mode, durable=durable) as stream:
        stream.write(data)


@contextmanager
def writing_atomically(
    path: Path, *, mode: int = 0o600, durable: bool = True
) -> Iterator[BinaryIO]:
    """The same for content that comes in pieces: the file is there when the block has ended."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            _held(stream)
            yield stream
            stream.flush()
            if durable:
                os.fsync(stream.fileno())
            Path(name).chmod(mode)
            Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def remove_half_written(directory: Path) -> None:
    """Remove what :func:`writing_atomically` left below a directory in killed processes.

    Other processes may be writing there: theirs are locked.
    """
    for part in directory.rglob(".*.part"):
        try:
            with part.open("rb") as stream:
                # A new one may not be locked yet.
                old = time.time() - os.fstat(stream.fileno()).st_mtime > 1
                if old and _held(stream):
                    part.unlink()
        except OSError:
            continue  # It has got its name, or it is none of ours.


def _held(stream: BinaryIO) -> bool:
    """Lock a file that is written, as a sign that its process lives; whether that worked."""
    import portalocker  # It loads much, and most commands only read.

    try:
        portalocker.lock(stream, portalocker.LOCK_EX | portalocker.LOCK_NB)
    except portalocker.LockException:
        return False
    return True


class Site:
    """One hospital, opened from its directory. Parts are made when first used.

    Raises:
        ConfigurationError: ``site.json`` is missing or invalid.
        KeyFileError: Others may write to the directory, or to what the site believes in it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        for part in _TRUSTED:
            path = self.directory / part
            if path.is_dir() or path.is_file():  # A device is told by whoever reads settings.
                refuse_foreign_writers(path)
        self.settings = SiteSettings.read(
            self.directory / "site.json",
            missing=ConfigurationError(
                f"There is no site at {self.directory}: site.json is missing.",
                hint="Give the directory of a site, or make one with `cdistrim site init`.",
            ),
        )

    @classmethod
    def create(cls, directory: Path, settings: SiteSettings) -> Site:
        """Write ``site.json`` and the directory tree; keys and data come from elsewhere."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for part in ("keys", "data", "memory", "approved", "refused", "work", "log"):
            (directory / part).mkdir(parents=True, exist_ok=True, mode=0o700)
        document = json.dumps(settings.model_dump(mode="json"), indent=2, sort_keys=True)
        write_atomically(directory / "site.json", document.encode() + b"\n")
        return cls(directory)

    def joining(self, contract: str, *, first_block: int | None = None) -> Site:
        """The same site with another contract; nothing is written.

        Args:
            contract: The contract's address.
            first_block: A block not after its first. None keeps the one in the settings where the
                contract is the settings' own, and is 0 for another.

        Raises:
            UsageError: That is no address.
        """
        if first_block is None:
            known = (self.settings.contract or "").lower() == contract.lower()
            first_block = self.settings.first_block if known else 0
        changes = {"contract": contract, "first_block": first_block}
        try:
            settings = SiteSettings.model_validate(self.settings.model_dump() | changes)
        except ValidationError:
            raise UsageError(
                f"{contract!r} is no contract's address.",
                hint="It has 0x and 40 hexadecimal digits.",
            ) from None
        joined = Site(self.directory)
        joined.settings = settings
        return joined

    @property
    def name(self) -> str:
        """The partner's name, as on the ledger."""
        return self.settings.name

    @property
    def contract(self) -> str:
        """Address of the consortium's contract.

        Raises:
            ConfigurationError: The site has joined no consortium yet.
        """
        if self.settings.contract is None:
            raise ConfigurationError(
                f"{self.name} has joined no consortium yet: site.json names no contract.",
                hint=f"Ask the partners for its address, then `cdistrim site join "
                f"{self.directory} ADDRESS`.",
            )
        return self.settings.contract

    @property
    def work(self) -> Path:
        """Where the slot at hand keeps its one-time key and checkpoint, and the leases lie."""
        return self.directory / "work"

    def checkpoint(self, campaign: int, slot: int, attempt: int) -> Path:
        """Where the training of a slot keeps its checkpoint, until the slot is over."""
        return self.work / f"checkpoint-{campaign}-{slot}-{attempt}.bin"

    @property
    def memory(self) -> Path:
        """What the site found out and would otherwise find out again; it can be deleted."""
        return self.directory / "memory"

    @property
    def turn(self) -> Path:
        """Where the lease lies that one process holds for the whole of a partner iteration."""
        return self.work / "turn"

    @cached_property
    def keys(self) -> SiteKeys:
        """The account and the sealing key.

        Raises:
            KeyFileError: A key file is missing, readable by others, damaged, or the passphrase is
                wrong.
        """
        from cdistrim.site_keys import load_site_keys

        return load_site_keys(self.directory / "keys", self.passphrase())

    def passphrase(self) -> str:
        """What unlocks the keys.

        Raises:
            KeyFileError: It is nowhere, or readable by others.
        """
        from cdistrim.passphrase import read_passphrase

        name = self.settings.passphrase_file
        return read_passphrase(file=self.directory / name if name else None)

    @cached_property
    def ledger(self) -> EthereumLedger:
        """The ledger, signing as this site's account.

        Raises:
            LedgerUnavailableError: The chain does not answer or has another id.
            ForeignContractError: The address does not hold the contract of this release.
            ConfigurationError: The site has joined no consortium yet.
        """
        return self._connect(self.keys.private_key)

    @cached_property
    def readable_ledger(self) -> EthereumLedger:
        """The ledger, only to be read: no key is unlocked for it.

        Raises:
            CDistriMError: As of :attr:`ledger`.
        """
        return self._connect(None)

    def _connect(self, account: bytes | None) -> EthereumLedger:
        from cdistrim.ledger import EthereumLedger

        return EthereumLedger.connect(
            self.settings.ledger_url,
            self.contract,
            chain_id=self.settings.chain_id,
            account=account,
            confirmations=self.settings.confirmations,
            first_block=self.settings.first_block,
            max_fee_gwei=self.settings.max_fee_gwei,
        )

    @cached_property
    def store(self) -> ObjectStore:
        """The consortium's object store."""
        from cdistrim.store import ObjectStore

        return ObjectStore(self.settings.store_url)

    @cached_property
    def data(self) -> SiteData:
        """This site's cases.

        Raises:
            DataError: There are none, or of one class only.
        """
        from cdistrim.data.cases import load_site_data

        return load_site_data(self.directory / "data")

    @property
    def account(self) -> str:
        """This site's account on the ledger (checksum address)."""
        return self.keys.account

    def spec(self, view: CampaignView) -> CampaignSpec:
        """The campaign's spec out of the store, checked against the ledger.

        Raises:
            SpecMismatchError: The document is a spec, but not the one on the ledger; or the
                campaign was opened on other terms than the spec's.
            IntegrityError: It is missing or altered.
        """
        document = self.store.get(SPECS, view.spec_hash, limit=MAX_FILE)
        spec = CampaignSpec.parse(document, expected=view.spec_hash)
        require_terms(spec, view)
        return spec

    def approve_spec(self, digest: bytes) -> None:
        """The local operator approves a spec: its code may run on this site's data."""
        write_atomically(self.directory / "approved" / digest.hex(), b"")
        (self.directory / "refused" / digest.hex()).unlink(missing_ok=True)

    def refuse_spec(self, digest: bytes) -> None:
        """Withdraw the approval; the site then refuses fetches and does not train."""
        (self.directory / "approved" / digest.hex()).unlink(missing_ok=True)
        # Only to tell "no" from "not yet": what may run hangs on the approval alone.
        write_atomically(self.directory / "refused" / digest.hex(), b"")

    def has_approved(self, digest: bytes) -> bool:
        """Whether the local operator approved this spec."""
        return self.answer_to(digest) is SpecAnswer.APPROVED

    def answer_to(self, digest: bytes) -> SpecAnswer:
        """What the local operator said to this spec."""
        if (self.directory / "approved" / digest.hex()).exists():
            return SpecAnswer.APPROVED
        refused = (self.directory / "refused" / digest.hex()).exists()
        return SpecAnswer.REFUSED if refused else SpecAnswer.NONE

    @cached_property
    def logger(self) -> logging.Logger:
        """The site's own log: full texts, on this disk only."""
        logger = logging.getLogger(f"cdistrim.site.{self.directory}")
        if not logger.handlers:
            (self.directory / "log").mkdir(exist_ok=True, mode=0o700)
            handler = logging.FileHandler(self.directory / "log" / "site.log")
            handler.setFormatter(
                logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")
            )
            logger.addHandler(handler)
            logger.setLevel(logging.INFO)
            # Records must not travel on: Prefect ships what reaches the root logger to its server.
            logger.propagate = False
        return logger

    def record_step(
        self, step: str, campaign: int, slot: int, attempt: int, seconds: float
    ) -> None:
        """Append a step's duration to ``log/steps.jsonl``: figures for the report, no data."""
        line = json.dumps(
            {
                "step": step,
                "campaign": campaign,
                "slot": slot,
                "attempt": attempt,
                "seconds": round(seconds, 4),
                "ended": round(time.time(), 4),
            }
        )
        with (self.directory / "log" / "steps.jsonl").open("a") as stream:
            stream.write(line + "\n")

    def record_vote(self, campaign: int, slot: int, step: str, sentence: str) -> None:
        """Append a vote's reason to ``log/votes.jsonl``: one sentence, figures but no case."""
        line = json.dumps({"campaign": campaign, "slot": slot, "step": step, "sentence": sentence})
        with (self.directory / "log" / "votes.jsonl").open("a") as stream:
            stream.write(line + "\n")


@contextmanager
def site_bound_to(directory: Path) -> Iterator[None]:
    """Bind the current context (thread or task) to a site, for a process that plays several."""
    token = _bound.set(directory)
    try:
        yield
    finally:
        _bound.reset(token)


_open_sites: dict[Path, Site] = {}


def bound_site() -> Site:
    """The site that this context or process is bound to; opened once a process.

    Raises:
        ConfigurationError: It is bound to none.
    """
    directory = _bound.get() or (
        Path(os.environ[SITE_VARIABLE]) if SITE_VARIABLE in os.environ else None
    )
    if directory is None:
        raise ConfigurationError(
            "This process is bound to no site.",
            hint=f"Start it with `cdistrim site serve DIRECTORY`, or set {SITE_VARIABLE}.",
        )
    directory = directory.resolve()
    if directory not in _open_sites:
        _open_sites[directory] = Site(directory)
    return _open_sites[directory]
