"""Names of accounts: the ledger's word for who somebody is, fit for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdistrim.report.wording import printable, sentence_list

if TYPE_CHECKING:
    from cdistrim.ledger import Ledger

__all__ = ["Names", "names_of"]


@dataclass(frozen=True)
class Names:
    """Who is a member, and who was: names fit for a terminal, by account in lower case.

    ``removed`` says when somebody was removed, in seconds of ledger time.
    """

    known: Mapping[str, str]
    removed: Mapping[str, int]

    def of(self, account: str) -> str:
        """Somebody's name; the account itself of who never was a member."""
        return self.known.get(account.lower(), account)

    def was_removed(self, account: str) -> bool:
        """Whether somebody was a member and is none any more: nobody need wait for it."""
        return account.lower() in self.removed

    def listed(self, accounts: Sequence[str]) -> str:
        """Names as in a sentence."""
        return sentence_list([self.of(one) for one in accounts])


def names_of(ledger: Ledger) -> Names:
    """Names of all who are or were members."""
    members, former = ledger.members(), ledger.former_members()
    return Names(
        {one.account.lower(): printable(one.name) for one in members}
        | {one.account.lower(): printable(one.name) for one in former},
        {one.account.lower(): one.removed_at for one in former},
    )
