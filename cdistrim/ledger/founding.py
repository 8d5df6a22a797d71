"""How a consortium's contracts are deployed, and what is there at an address.

A deployment's address follows from the account and its nonce, so nobody has to be asked for it. It
also makes a rerun know how far the one before came: its contract, or its views, can only be where
this account's last transaction has put them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from cdistrim.errors import ConfigurationError, ForeignContractError, IntegrityError
from cdistrim.ledger.codec import artifact, views_artifact
from cdistrim.ledger.events import EventLog
from cdistrim.ledger.finality import Finality
from cdistrim.ledger.interface import Deployment, Member
from cdistrim.ledger.node import Node, NodeRefusal, Reorganised
from cdistrim.ledger.reading import of_one_chain
from cdistrim.ledger.sending import AlreadyDone, Sender
from cdistrim.ledger.words import account_word, name_word
from cdistrim.protocol import LedgerEvent

__all__ = ["Founding", "views_of"]

_STAND_IN = "0x" + "ff" * 20
"""For views that are not there yet: the contract takes any address but zero."""

_BLOCKS = 5_000


class Founding:
    """The deployment of one consortium.

    Args:
        node: Where to.
        sender: Signs and pays.
        founders: The contract's first members.

    Raises:
        UsageError: A founder's account or name is none.
    """

    def __init__(self, node: Node, sender: Sender, founders: Sequence[Member]) -> None:
        self._node = node
        self._sender = sender
        self._founders = [(account_word(each.account), each.name) for each in founders]

    def run(self) -> Deployment:
        """Deploy what is not there yet.

        Raises:
            LedgerUnavailableError: No answer, or not mined in time.
            LedgerRefusal: The contract does not take these founders; nothing was sent.
            ForeignContractError: What the node has afterwards is not what was deployed.
            IntegrityError: A contract is there already, but the node has no founders of it.
        """
        # Asked before anything is sent: a wrong founder costs nobody a deployment.
        self._sender.estimate(None, self._creation(_STAND_IN))
        made, first = self._deploy(views_artifact().encode_deployment([]), self._is_begun)
        second = None
        contract, whole = made, first is None and self._is_founded(made)
        if not whole:
            contract, second = self._deploy(self._creation(made), self._is_founded)
        views = views_of(self._node, contract)
        if not whole and views != made:
            raise ForeignContractError(
                f"The contract at {contract} on {self._node.name} names derived views at {views}; "
                f"it was deployed with {made}.",
                hint="Use another node: this one gives wrong answers.",
            )
        paid = [receipt for receipt in (first, second) if receipt]
        return Deployment(
            contract,
            views,
            block=int(second["blockNumber"]) if second else self._admissions(contract)[0].block,
            gas=sum(int(receipt["gasUsed"]) for receipt in paid),
            repeated=not paid,
        )

    def _deploy(
        self, creation: bytes, there: Callable[[str], bool]
    ) -> tuple[str, dict[str, Any] | None]:
        """Address and receipt; no receipt if the account's last transaction has done it."""
        last = ""

        def done(nonce: int) -> bool:
            nonlocal last
            last = self._sender.creates(nonce - 1) if nonce else ""
            return bool(last) and there(last)

        try:
            receipt = self._sender.transact(None, creation, unless=done)
        except AlreadyDone:
            return last, None
        return str(receipt["contractAddress"]), receipt

    def _creation(self, views: str) -> bytes:
        fields = [(account, name_word(name)) for account, name in self._founders]
        return artifact().encode_deployment([fields, views])

    def _is_begun(self, address: str) -> bool:
        return views_artifact().is_code(self._node.code(address)) or self._is_founded(address)

    def _is_founded(self, address: str) -> bool:
        """Whether the contract is there with these founders; others have joined maybe."""
        if not artifact().is_code(self._node.code(address)):
            return False
        admitted = self._admissions(address)
        founders = [each.arguments for each in admitted if each.block == admitted[0].block]
        return [(each["account"], each["name"]) for each in founders] == self._founders

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
