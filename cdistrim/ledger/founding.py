"""How a consortium's contracts are deployed, and what is there at an address.

A deployment's address follows from the account and its nonce, so nobody has to be asked for it. It
also makes a rerun know how far an earlier one came: a contract that this account has deployed can
only be where one of its transactions has put it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from cdistrim.errors import (
    ConfigurationError,
    ForeignContractError,
    IntegrityError,
    LedgerUnavailableError,
    UsageError,
)
from cdistrim.ledger.codec import artifact, views_artifact
from cdistrim.ledger.events import EventLog
from cdistrim.ledger.finality import Finality
from cdistrim.ledger.interface import NAME_PATTERN, NAME_RULE, Deployment, Member
from cdistrim.ledger.node import Node, NodeRefusal, Reorganised
from cdistrim.ledger.reading import of_one_chain
from cdistrim.ledger.sending import AlreadyDone, Sender
from cdistrim.ledger.words import account_word, name_word
from cdistrim.protocol import LedgerEvent

__all__ = ["Founding", "views_of"]

_STAND_IN = "0x" + "ff" * 20
"""For views that are not there yet: the contract takes any address but zero."""

_BLOCKS = 5_000
_FEWEST, _MOST = 2, 50


class Founding:
    """The deployment of one consortium.

    Args:
        node: Where to.
        sender: Signs and pays.
        founders: The contract's first members.
        say: Told what is about to be sent, a line each.

    Raises:
        UsageError: Their number is not possible, or a founder's account or name.
    """

    def __init__(
        self, node: Node, sender: Sender, founders: Sequence[Member], say: Callable[[str], object]
    ) -> None:
        self._node = node
        self._sender = sender
        self._founders = _checked(founders)
        self._say = say

    def run(self, known: str | None = None) -> Deployment:
        """Deploy what is not there yet, and wait until it counts.

        Args:
            known: A contract that may be the wanted one already.

        Raises:
            LedgerUnavailableError: No answer, or not mined or not final in time.
            LedgerRefusal: The contract does not take these founders; nothing was sent.
            ForeignContractError: What the node has afterwards is not what was deployed.
            IntegrityError: A contract is there already, but the node has no founders of it.
        """
        # Asked before anything is sent: a wrong founder costs nobody a deployment.
        self._sender.estimate(None, self._creation(_STAND_IN))
        nonce = self._sender.settle()
        if known and self._is_founded(known):
            return self._of_before(known)
        contract = self._find(range(nonce), self._is_founded)
        if contract:
            return self._of_before(contract)
        made, first = self._deploy(
            "the derived views",
            views_artifact().encode_deployment([]),
            lambda now: self._find(range(max(0, now - 1), now), self._is_views),
        )
        contract, second = self._deploy(
            f"the contract for {len(self._founders)} founders",
            self._creation(made),
            lambda now: self._find(range(nonce, now), self._is_founded),
        )
        if second is None:  # another process was faster
            return self._of_before(contract)
        views = views_of(self._node, contract)
        if views != made:
            raise ForeignContractError(
                f"The contract at {contract} on {self._node.name} names derived views at {views}; "
                f"it was deployed with {made}.",
                hint="Use another node: this one gives wrong answers.",
            )
        gas = sum(int(receipt["gasUsed"]) for receipt in (first, second) if receipt)
        return Deployment(contract, views, block=int(second["blockNumber"]), gas=gas)

    def _of_before(self, contract: str) -> Deployment:
        """What is there already, once it counts."""
        founding = self._admissions(contract)[0]
        if not self._sender.lasts(founding.transaction):
            raise LedgerUnavailableError(
                f"The chain at {self._node.name} has taken back the contract at {contract}.",
                hint="Run the same again.",
            )
        views = views_of(self._node, contract)
        return Deployment(contract, views, block=founding.block, gas=0, repeated=True)

    def _deploy(
        self, what: str, creation: bytes, done: Callable[[int], str]
    ) -> tuple[str, dict[str, Any] | None]:
        """Address and receipt; no receipt if ``done``, asked with the nonce, knows the address."""
        found = ""

        def is_done(nonce: int) -> bool:
            nonlocal found
            found = done(nonce)
            if not found:
                self._say(f"Deploying {what} …")
            return bool(found)

        try:
            receipt = self._sender.transact(None, creation, unless=is_done)
        except AlreadyDone:
            return found, None
        return str(receipt["contractAddress"]), receipt

    def _creation(self, views: str) -> bytes:
        fields = [(account, name_word(name)) for account, name in self._founders]
        return artifact().encode_deployment([fields, views])

    def _find(self, nonces: range, wanted: Callable[[str], bool]) -> str:
        """The latest contract of this account that is ``wanted``, or an empty string."""
        addresses = (self._sender.creates(nonce) for nonce in reversed(nonces))
        return next((address for address in addresses if wanted(address)), "")

    def _is_views(self, address: str) -> bool:
        return views_artifact().is_code(self._node.code(address))

    def _is_founded(self, address: str) -> bool:
        """Whether the contract is there with these founders; others have joined maybe."""
        if not artifact().is_code(self._node.code(address)):
            return False
        admitted = self._admissions(address)
        founders = [each.arguments for each in admitted if each.block == admitted[0].block]
        there = [(each["account"], each["name"]) for each in founders]
        return len(there) == len(self._founders) and set(there) == set(self._founders)

    @of_one_chain
    def _admissions(self, address: str) -> list[LedgerEvent]:
        """All admissions, oldest first. The founders' are looked for backwards: a rerun is soon.

        Raises:
            IntegrityError: There are none of founders.
        """
        tip = Finality(self._node, 0).tip()
        blocks = _BLOCKS
        while True:
            log = EventLog(self._node, address, max(0, tip.number - blocks))
            try:
                log.reach(tip)
            except ConfigurationError:  # they were before the first block
                if blocks >= tip.number:
                    raise IntegrityError(
                        f"The contract at {address} on {self._node.name} has code, "
                        "but no founders.",
                        hint="Use another node: this one gives wrong events.",
                    ) from None
            else:
                return list(log.find("MemberAdmitted"))
            blocks *= 4


def _checked(founders: Sequence[Member]) -> list[tuple[str, str]]:
    """Accounts and names, by the contract's rules: its own refusals say less.

    Raises:
        UsageError: See there.
    """
    if not _FEWEST <= len(founders) <= _MOST:
        raise UsageError(
            f"A consortium has {_FEWEST} to {_MOST} founders; named were {len(founders)}.",
            hint="Others can be admitted later.",
        )
    checked = [(account_word(each.account), each.name) for each in founders]
    for account, name in checked:
        if not re.fullmatch(NAME_PATTERN, name):
            raise UsageError(f"{name!r} can't be a member's name.", hint=NAME_RULE)
        if int(account, 16) == 0:
            raise UsageError(
                f"{account} is nobody's account.", hint="Use the one that the site's keys have."
            )
    for what, values in (("account", 0), ("name", 1)):
        value, times = Counter(each[values] for each in checked).most_common(1)[0]
        if times > 1:
            raise UsageError(
                f"{times} founders have the {what} {value}.",
                hint="Each founder has an account and a name of its own.",
            )
    return checked


@of_one_chain
def views_of(node: Node, address: str) -> str:
    """The derived views of this release's contract, whose code says nothing about which these are.

    Raises:
        LedgerUnavailableError: No answer.
        ForeignContractError: No code there, or not this release's; or the same of its views.
    """
    code = node.code(address)
    if not artifact().is_code(code):
        what = "other code" if code else "no code"
        raise ForeignContractError(
            f"There is {what} at {address} on {node.name}; expected was this release's contract.",
            hint="Check the contract address, and that all partners run the same release.",
        )
    latest = Finality(node, 0).tip()
    try:
        answer = node.call(address, artifact().encode("views", ()), latest)
    except NodeRefusal:
        if node.has(latest):
            raise
        raise Reorganised(node.name, latest.number) from None
    views = str(artifact().decode_result("views", answer))
    if not views_artifact().is_code(node.code(views)):
        raise ForeignContractError(
            f"The derived views at {views}, which the contract at {address} names, are not this "
            "release's.",
            hint="Somebody deployed the contract by other means; do not use it.",
        )
    return views
