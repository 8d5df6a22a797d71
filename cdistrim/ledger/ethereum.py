"""The ledger on an Ethereum chain, by RPC address only: anvil, Besu, or a public network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Self

from eth_utils.address import is_address, to_checksum_address

from cdistrim.errors import (
    ForeignContractError,
    LedgerRefusal,
    LedgerUnavailableError,
    UsageError,
)
from cdistrim.ledger.codec import artifact, candidate_fields, deadline_fields, evidence_fields
from cdistrim.ledger.interface import Candidate, Confirmations, Member, Receipt
from cdistrim.ledger.node import BlockRef, Node, Reorganised
from cdistrim.ledger.reading import ReadOnlyLedger, of_one_chain
from cdistrim.ledger.sending import AlreadyDone, Sender
from cdistrim.protocol import (
    Evidence,
    LedgerEvent,
    Mode,
    Step,
)
from cdistrim.spec import DeadlineSpec

__all__ = ["EthereumLedger"]

_ROUNDS = 5


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
        confirmations: Confirmations,
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

    @classmethod
    def connect(
        cls,
        url: str,
        contract_address: str,
        *,
        chain_id: int,
        account: bytes | str | None = None,
        confirmations: Confirmations = 0,
        timeout: float = 30.0,
        first_block: int = 0,
    ) -> Self:
        """Connect to the contract and check that it is ours.

        Args:
            url: The node's JSON-RPC address.
            contract_address: Where the contract is.
            chain_id: The expected chain id.
            account: Private key of the account that signs; None to read only.
            confirmations: Blocks on top of one before reads see it and writes count as done, or
                ``"finalized"``: then a write takes as long as the chain's finality, on Ethereum's
                main network about 15 minutes.
            timeout: Seconds to wait for an answer, for a transaction to be mined, and for each
                further block while one waits for its confirmations.
            first_block: A block not after the contract's first; events are read from there.

        Raises:
            LedgerUnavailableError: Unreachable, or another chain id.
            ForeignContractError: No code there, or not this release's contract.
            UsageError: The address is none, or the number of confirmations is negative.
            KeyFileError: The private key is none.
        """
        if isinstance(confirmations, int) and confirmations < 0:
            raise UsageError(f"{confirmations} confirmations are not possible.")
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
            sender = Sender(
                node,
                chain_id=chain_id,
                private_key=account,
                timeout=timeout,
                confirmations=confirmations,
            )
        return cls(
            node,
            address,
            chain_id=chain_id,
            sender=sender,
            confirmations=confirmations,
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

        def opened() -> LedgerEvent | None:
            found = self._events.find("CampaignOpened", **mine)
            return next((event for event in found if not self._has_ended(event)), None)

        fields = deadline_fields(deadlines)
        arguments = (spec_hash, genesis_hash, list(order), cycles, quorum or 0, mode, fields)
        # The contract does not refuse a second one, so the question comes before the sending.
        receipt = self._write("openCampaign", arguments, opened, ask_first=True)
        opening = self._look(
            lambda: next(
                (
                    event
                    for event in self._events.find("CampaignOpened", **mine)
                    if event.transaction == receipt.transaction
                ),
                None,
            )
        )
        if opening is None:
            raise Reorganised(self._node.name, receipt.block)
        return int(str(opening.arguments["campaign"])), receipt

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

    def _has_ended(self, opening: LedgerEvent) -> bool:
        try:
            return self.campaign(int(str(opening.arguments["campaign"]))).state.ended
        except LedgerRefusal:
            return False  # the latest block has it, the last that counts does not

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
        *,
        ask_first: bool = False,
    ) -> Receipt:
        """Do it; or, if the contract refuses because it was done before, say when that was.

        Asking only after a refusal keeps the normal way short: the contract refuses every repeat.
        Where it does not, ``ask_first``.
        """
        unless = (lambda: self._look(done) is not None) if ask_first else None
        for _ in range(_ROUNDS):
            with suppress(Reorganised):  # before it was final, if there is such a thing
                try:
                    return self._receipt(self._transact(function, arguments, unless))
                except (LedgerRefusal, AlreadyDone) as reason:
                    self._signer().settle()
                    event = self._look(done)
                    if event is None and isinstance(reason, LedgerRefusal):
                        raise
                    if event is not None and self._signer().lasts(event.transaction):
                        return _original(event)
        raise LedgerUnavailableError(
            f"The chain undid or overtook {function} {_ROUNDS} times.",
            hint="Wait until it is quiet, then run the same again.",
        )

    @of_one_chain
    def _look(self, done: Callable[[], LedgerEvent | None]) -> LedgerEvent | None:
        """Ask at the chain's latest block, whether that counts already or not."""
        self._events.reach(self._finality.tip())
        return done()

    def _transact(
        self,
        function: str,
        arguments: Sequence[object],
        unless: Callable[[], bool] | None = None,
    ) -> dict[str, Any]:
        data = artifact().encode(function, arguments)
        return self._signer().transact(self._address, data, unless=unless)

    def _signer(self) -> Sender:
        if self._sender is None:
            raise UsageError(
                "This ledger was opened without an account and can only be read.",
                hint="Give the site's key file.",
            )
        return self._sender

    def _receipt(self, receipt: dict[str, Any]) -> Receipt:
        block = BlockRef(int(receipt["blockNumber"]), bytes(receipt["blockHash"]))
        return Receipt(
            transaction="0x" + bytes(receipt["transactionHash"]).hex(),
            block=block.number,
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
