"""Every error that C-DistriM raises on purpose, and the exit code of each.

::

    CDistriMError
    ├── CallerError                 the caller asked for something that can't be done as asked
    │   ├── UsageError              2   unknown option, malformed argument
    │   ├── ConfigurationError      3   site settings or campaign spec are invalid or incomplete
    │   ├── KeyFileError            4   key file missing, readable by others, or wrong passphrase
    │   ├── DataError               5   no cases, one class only, broken volumes
    │   ├── LeaseHeldError          6   another process holds the weights of this site
    │   └── OutOfOrderError         1   a step was called before the step it builds on
    ├── UntrustedDataError          somebody else's data failed a check; never retry
    │   ├── IntegrityError          7   truncated, altered, swapped or missing object; hash mismatch
    │   ├── SealError               7   a ciphertext or a sealed key does not open
    │   ├── BadDealingError         7   the shares in a capsule are not what the protocol asks for
    │   ├── UnopenableHeadError     7   the head can't be opened here: a restore ballot is due
    │   ├── SpecMismatchError       8   the spec, or the campaign's terms, are not the ledger's
    │   ├── ForeignContractError    9   no code, or not our code, at the contract address
    │   └── ModelRejectedError      10  a candidate failed a hard check (NaN, shapes, architecture)
    ├── UnavailableError            a service did not answer; a retry may help
    │   ├── LedgerUnavailableError  11  chain unreachable or on another chain id
    │   ├── StoreUnavailableError   12  store unreachable or not writable
    │   ├── ServerUnavailableError  15  Prefect server can't be started or reached
    │   ├── NotReleasedError        16  too few shares of a key, or no evaluate grant, are there yet
    │   └── WaitingError            16  a removal waits until keys are shared anew
    ├── LedgerRefusal               13  the contract refused the call; carries its named error
    ├── TrainingError               14  NaN loss, or training that could not run
    ├── CampaignIncomplete          20  the campaign ended with fewer accepted slots than planned
    ├── CampaignFailed              21  the campaign ended without any accepted model
    └── ExperimentIncomplete    22  some models of an experiment have no result

A message says what was wrong, with which value, and what to do next. It never carries a case
identifier, a secret or a key: messages travel to logs, to the Prefect server and to reports.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BadDealingError",
    "CDistriMError",
    "CallerError",
    "CampaignFailed",
    "CampaignIncomplete",
    "ConfigurationError",
    "DataError",
    "ExperimentIncomplete",
    "ForeignContractError",
    "IntegrityError",
    "KeyFileError",
    "LeaseHeldError",
    "LedgerRefusal",
    "LedgerUnavailableError",
    "ModelRejectedError",
    "NotReleasedError",
    "OutOfOrderError",
    "SealError",
    "ServerUnavailableError",
    "SpecMismatchError",
    "StoreUnavailableError",
    "TrainingError",
    "UnavailableError",
    "UnopenableHeadError",
    "UntrustedDataError",
    "UsageError",
    "WaitingError",
]


class CDistriMError(Exception):
    """Root of all errors of this project.

    Args:
        what: What was wrong, with which value.
        hint: What to do next; shown on a line of its own.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    @property
    def code(self) -> str:
        """Stable name of the error, safe to show to anybody."""
        return type(self).__name__

    def __str__(self) -> str:
        return f"{self.what} {self.hint}".strip()


class CallerError(CDistriMError):
    """The caller asked for something that can't be done as asked."""


class UsageError(CallerError):
    """Unknown option or malformed argument."""

    exit_code = 2


class ConfigurationError(CallerError):
    """Site settings or a campaign spec are invalid or incomplete."""

    exit_code = 3


class KeyFileError(CallerError):
    """A key file is missing, readable by others, damaged, or its passphrase is wrong."""

    exit_code = 4


class DataError(CallerError):
    """A site's data can't be used: no cases, one class only, broken volumes."""

    exit_code = 5


class LeaseHeldError(CallerError):
    """Another process holds what this one needs: a site's weights, its data, a run."""

    exit_code = 6


class OutOfOrderError(CallerError):
    """A step was called before the step it builds on: a fault in the calling code."""


class UntrustedDataError(CDistriMError):
    """Somebody else's data failed a check. Trying again does not help.

    Args:
        short: ``what`` in a few words, with the ends of paths and digests only: for the reason of
            a vote. Default: ``what``.
    """

    def __init__(self, what: str, *, hint: str = "", short: str = "") -> None:
        super().__init__(what, hint=hint)
        self.short = short or what.rstrip(".")


class IntegrityError(UntrustedDataError):
    """An object is missing, truncated, altered or swapped."""

    exit_code = 7


class SealError(UntrustedDataError):
    """A ciphertext or a sealed key does not open in this context."""

    exit_code = 7


class BadDealingError(UntrustedDataError):
    """A model's key was not shared as the protocol asks: holders, threshold or shares are wrong."""

    exit_code = 7


class UnopenableHeadError(UntrustedDataError):
    """The head can't be opened at this site: damaged, badly dealt, or too few shares in time.

    Args:
        reproducible: False if it opens, but is not what its record says.
    """

    exit_code = 7

    def __init__(self, what: str, *, hint: str = "", reproducible: bool = True) -> None:
        super().__init__(what, hint=hint)
        self.reproducible = reproducible


class SpecMismatchError(UntrustedDataError):
    """A spec is not the one on the ledger, or a campaign's terms there are not the spec's."""

    exit_code = 8


class ForeignContractError(UntrustedDataError):
    """The contract address holds no code, or code other than the shipped artifact's."""

    exit_code = 9


class ModelRejectedError(UntrustedDataError):
    """A candidate failed a hard check: architecture, shapes, finite weights, update norm."""

    exit_code = 10


class UnavailableError(CDistriMError):
    """A service did not answer. Trying again may help."""


class LedgerUnavailableError(UnavailableError):
    """The chain can't be reached, is not the expected one, or does not mine what was sent."""

    exit_code = 11


class StoreUnavailableError(UnavailableError):
    """The object store can't be reached or written to."""

    exit_code = 12


class ServerUnavailableError(UnavailableError):
    """The Prefect server can't be started or reached."""

    exit_code = 15


class NotReleasedError(UnavailableError):
    """Others have not released yet what was asked for: shares of a key, or an evaluate grant."""

    exit_code = 16


class WaitingError(UnavailableError):
    """A removal has to wait until those who stay can open head and ancestors."""

    exit_code = 16


class LedgerRefusal(CDistriMError):
    """The contract refused a call.

    Args:
        name: Name of the contract's custom error, e.g. ``NotYourTurn``.
        arguments: Its decoded arguments, by name.
    """

    exit_code = 13

    def __init__(
        self, what: str, *, name: str, arguments: dict[str, object] | None = None, hint: str = ""
    ) -> None:
        super().__init__(what, hint=hint)
        self.name = name
        self.arguments = dict(arguments or {})


class TrainingError(CDistriMError):
    """Training produced no usable model, e.g. a loss that is not finite."""

    exit_code = 14


class CampaignIncomplete(CDistriMError):
    """The campaign ended with fewer accepted slots than planned."""

    exit_code = 20


class CampaignFailed(CDistriMError):
    """The campaign ended without any accepted model."""

    exit_code = 21


class ExperimentIncomplete(CDistriMError):
    """Some models of an experiment have no result; the others have."""

    exit_code = 22
