"""The ledger on an Ethereum chain, by RPC address only: anvil, Besu, or a public network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from eth_utils.address import is_address, to_checksum_address

from cdistrim.errors import (
    ForeignContractError,
    LedgerRefusal,
    LedgerUnavailableError,
    UsageError,
)
from cdistrim.ledger.codec import artifact, candidate_fields, deadline_fields, evidence_fields
from cdistrim.ledger.interface import Candidate, Member, Receipt
from cdistrim.ledger.node import Node
from cdistrim.ledger.reading import ReadOnlyLedger
from cdistrim.ledger.sending import Sender, wait_for_block
from cdistrim.protocol import (
    Evidence,
    LedgerEvent,
    Mode,
    Step,
)
from cdistrim.spec import DeadlineSpec

__all__ = ["EthereumLedger"]


class EthereumLedger(ReadOnlyLedger):
    """The contract at one address, seen and moved by one account. See :class:`Ledger`.

    Threads may share it. Make it with :meth:`connect`.
    """

    def __init__(
        self,
        node: Node,
        address: str,
        *,
        chain_id: int,
        sender: Sender | None,
        confirmations: int,
        timeout: float,
        first_block: int,
    ) -> None:
        super().__init__(
            node,
            address,
            chain_id=chain_id,
            confirmations=confirmations,
            first_block=first_block,
        )
        self._sender = sender
        self._timeout = timeout

    @classmethod
    def connect(
        cls,
        url: str,
        contract_address: str,
        *,
        chain_id: int,
        account: bytes | str | None = None,
        confirmations: int = 0,
        timeout: float = 30.0,
        first_block: int = 0,
    ) -> Self:
        """Connect to the contract and check that it is ours.

        Args:
            url: The node's JSON-RPC address.
            contract_address: Where the contract is.
            chain_id: The expected chain id.
            account: Private key of the account that signs; None to read only.
            confirmations: Blocks on top of one before reads see it and writes count as done.
            timeout: Seconds to wait for an answer, and for a transaction to be mined.
            first_block: A block not after the contract's first; events are read from there.

        Raises:
            LedgerUnavailableError: Unreachable, or another chain id.
            ForeignContractError: No code there, or not this release's contract.
            UsageError: The address is none.
            KeyFileError: The private key is none.
        """
        if not is_address(contract_address):
            raise UsageError(
                f"{contract_address!r} is no contract address.",
                hint="It has 0x and 40 hexadecimal digits; check the site's settings.",
            )
        address = str(to_checksum_address(contract_address))
        node = _node_on(url, chain_id, timeout)
        code = node.code(address)
        if not artifact().is_code(code):
            what = "other code" if code else "no code"
            raise ForeignContractError(
                f"There is {what} at {address} on chain {chain_id} ({node.name}); expected was "
                "this release's contract.",
                hint="Check the contract address, and that all partners run the same release.",
            )
        sender = None
        if account is not None:
            sender = Sender(node, chain_id=chain_id, private_key=account, timeout=timeout)
        return cls(
            node,
            address,
            chain_id=chain_id,
            sender=sender,
            confirmations=confirmations,
            timeout=timeout,
            first_block=first_block,
        )

    @classmethod
    def deploy(
        cls,
        url: str,
        *,
        chain_id: int,
        private_key: bytes | str,
        founders: Sequence[Member],
        timeout: float = 60.0,
    ) -> str:
        """Deploy the shipped contract for these founders; its address.

        Raises:
            LedgerUnavailableError: Unreachable, or another chain id.
            LedgerRefusal: The contract does not take these founders.
        """
        node = _node_on(url, chain_id, timeout)
        sender = Sender(node, chain_id=chain_id, private_key=private_key, timeout=timeout)
        fields = [(founder.account, founder.name, founder.sealing_key) for founder in founders]
        receipt = sender.transact(None, artifact().encode_deployment([fields]))
        return str(to_checksum_address(receipt["contractAddress"]))

    @property
    def account(self) -> str | None:
        """The account that signs; None where the ledger is only read."""
        return self._sender.address if self._sender else None

    def open_campaign(
        self,
        *,
        spec_hash: bytes,
        genesis_hash: bytes,
        order: Sequence[str],
        cycles: int,
        quorum: int | None,
        mode: Mode,
        deadlines: DeadlineSpec,
    ) -> tuple[int, Receipt]:
        """Open a campaign; its number. The same spec again continues the one that has not ended."""
        mine = {"opener": self.account, "specHash": spec_hash}
        self._events.reach(self._node.block_number())
        for event in self._events.find("CampaignOpened", **mine):
            number = int(str(event.arguments["campaign"]))
            if not self.campaign(number).state.ended:
                return number, _original(event)
        fields = deadline_fields(deadlines)
        arguments = (spec_hash, genesis_hash, list(order), cycles, quorum or 0, mode, fields)
        receipt = self._transact("openCampaign", arguments)
        opened = self._events.of_receipt(receipt, "CampaignOpened")
        return int(opened["campaign"]), self._receipt(receipt)

    def enrol(
        self, *, campaign: int, cases: int, data_commitment: bytes, evaluator: bool
    ) -> Receipt:
        """Take part in a campaign."""
        return self._write(
            "enrol",
            (campaign, cases, data_commitment, evaluator),
            lambda: self._mine(
                "Enrolled",
                campaign=campaign,
                cases=cases,
                dataCommitment=data_commitment,
                evaluator=evaluator,
            ),
        )

    def request_fetch(
        self, *, campaign: int, slot: int, attempt: int, request_key_digest: bytes
    ) -> Receipt:
        """Ask for the head. Another key in the same attempt is refused, not repeated."""
        step = {"campaign": campaign, "slot": slot, "attempt": attempt}
        return self._write(
            "requestFetch",
            (campaign, slot, attempt, request_key_digest),
            lambda: self._mine("FetchRequested", **step, requestKeyDigest=request_key_digest),
        )

    def cast_vote(
        self,
        *,
        campaign: int,
        slot: int,
        attempt: int,
        step: Step,
        approve: bool,
        evidence: Evidence | None = None,
    ) -> Receipt:
        """Vote in an open ballot. The opposite of one's vote is refused, not repeated."""
        ballot = {"campaign": campaign, "slot": slot, "attempt": attempt, "step": step}
        return self._write(
            "castVote",
            (campaign, slot, attempt, step, approve, evidence_fields(evidence)),
            lambda: self._mine("VoteCast", **ballot, approve=approve),
        )

    def report_opened(
        self,
        *,
        campaign: int,
        slot: int,
        attempt: int,
        good: int = 0,
        bad: int = 0,
        missing: int = 0,
    ) -> Receipt:
        """Redeem the fetch token. The numbers are of key shares."""
        return self._write(
            "reportOpened",
            (campaign, slot, attempt, good, bad, missing),
            lambda: self._mine("ModelOpened", campaign=campaign, slot=slot, attempt=attempt),
        )

    def request_upload(
        self, *, campaign: int, slot: int, attempt: int, candidate: Candidate
    ) -> Receipt:
        """Fix the candidate's record. Other weights in the same attempt are refused."""
        return self._write(
            "requestUpload",
            (campaign, slot, attempt, candidate_fields(candidate)),
            lambda: self._submitted(campaign, slot, attempt, candidate),
        )

    def confirm_upload(
        self, *, campaign: int, slot: int, attempt: int, candidate: Candidate
    ) -> Receipt:
        """Redeem the upload token (reported mode)."""
        return self._write(
            "confirmUpload",
            (campaign, slot, attempt, candidate_fields(candidate)),
            lambda: self._mine(
                "ModelAccepted",
                campaign=campaign,
                slot=slot,
                attempt=attempt,
                weightsHash=candidate.weights_hash,
                ciphertextHash=candidate.ciphertext_hash,
                capsuleHash=candidate.capsule_hash,
            ),
        )

    def close_expired(self, *, campaign: int, slot: int) -> Receipt:
        """End the open slot, or the enrolment (slot 0), once its deadline is over."""
        return self._write("closeExpired", (campaign,), lambda: self._ended(campaign, slot))

    def _mine(self, name: str, **arguments: object) -> LedgerEvent | None:
        return next(self._events.find(name, account=self.account, **arguments), None)

    def _submitted(
        self, campaign: int, slot: int, attempt: int, candidate: Candidate
    ) -> LedgerEvent | None:
        event = self._mine("CandidateSubmitted", campaign=campaign, slot=slot, attempt=attempt)
        if event is None:
            return None
        there = event.arguments["candidate"]
        same = isinstance(there, Candidate) and _hashes(there) == _hashes(candidate)
        return event if same else None

    def _ended(self, campaign: int, slot: int) -> LedgerEvent | None:
        names = ("SlotSkipped", "ModelAccepted") if slot else ("CampaignStarted",)
        which = {"campaign": campaign} | ({"slot": slot} if slot else {})
        ends: list[Iterator[LedgerEvent]] = [self._events.find(name, **which) for name in names]
        if not slot:  # too few enrolled: it ended without having started
            ends.append(self._events.find("CampaignCompleted", campaign=campaign))
        return next((event for end in ends for event in end), None)

    def _write(
        self,
        function: str,
        arguments: Sequence[object],
        done: Callable[[], LedgerEvent | None],
    ) -> Receipt:
        """Do it; or, if the contract refuses because it was done before, say when that was.

        Asking only after a refusal keeps the normal way short: the contract refuses every repeat.
        """
        try:
            return self._receipt(self._transact(function, arguments))
        except LedgerRefusal:
            sender = self._signer()
            sender.settle()
            self._events.reach(self._node.block_number())
            event = done()
            if event is None:
                raise
            return _original(event)

    def _transact(self, function: str, arguments: Sequence[object]) -> dict[str, Any]:
        data = artifact().encode(function, arguments)
        receipt = self._signer().transact(self._address, data)
        if self._confirmations:
            last = int(receipt["blockNumber"]) + self._confirmations
            wait_for_block(self._node, last, self._timeout)
        return receipt

    def _signer(self) -> Sender:
        if self._sender is None:
            raise UsageError(
                "This ledger was opened without an account and can only be read.",
                hint="Give the site's key file.",
            )
        return self._sender

    def _receipt(self, receipt: dict[str, Any]) -> Receipt:
        block = int(receipt["blockNumber"])
        return Receipt(
            transaction="0x" + bytes(receipt["transactionHash"]).hex(),
            block=block,
            gas=int(receipt["gasUsed"]),
            timestamp=self._events.timestamp(block),
        )


def _node_on(url: str, chain_id: int, timeout: float) -> Node:
    node = Node(url, timeout=timeout)
    found = node.chain_id()
    if found != chain_id:
        raise LedgerUnavailableError(
            f"The chain at {node.name} has id {found}; expected was {chain_id}.",
            hint="Check the ledger's URL and chain id in the settings.",
        )
    return node


def _hashes(candidate: Candidate) -> tuple[int, bytes, bytes, bytes]:
    return (
        candidate.parent,
        candidate.weights_hash,
        candidate.ciphertext_hash,
        candidate.capsule_hash,
    )


def _original(event: LedgerEvent) -> Receipt:
    return Receipt(event.transaction, event.block, event.gas, event.timestamp, repeated=True)
