"""The ledger on an Ethereum chain, by RPC address only: anvil, Besu, or a public network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from cdistrim.errors import LedgerUnavailableError, UsageError
from cdistrim.ledger.campaigns import CampaignWrites
from cdistrim.ledger.final_model import ModelWrites
from cdistrim.ledger.founding import Founding, views_of
from cdistrim.ledger.interface import MAX_FEE_GWEI, Confirmations, Deployment, Member
from cdistrim.ledger.members import MemberWrites
from cdistrim.ledger.node import Node
from cdistrim.ledger.sending import Sender
from cdistrim.ledger.slots import SlotWrites
from cdistrim.ledger.votes import VoteWrites
from cdistrim.ledger.walking import HistoryReads
from cdistrim.ledger.words import account_word

__all__ = ["EthereumLedger"]


class EthereumLedger(
    MemberWrites, CampaignWrites, SlotWrites, VoteWrites, ModelWrites, HistoryReads
):
    """The contract at one address, seen and moved by one account. See :class:`Ledger`.

    Threads may share it. Make it with :meth:`connect`.
    """

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
        max_fee_gwei: float = MAX_FEE_GWEI,
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
            timeout: Seconds to wait for each piece of an answer, for a transaction to be mined, and
                for each further block while one waits for its confirmations.
            first_block: A block not after the contract's first; events are read from there.
            max_fee_gwei: The highest fee per unit of gas, in gwei, that a transaction may offer;
                writes raise :class:`ConfigurationError` where the chain asks for more.

        Raises:
            LedgerUnavailableError: Unreachable, or another chain id.
            ForeignContractError: No code there, or not this release's contract.
            UsageError: The address is none or has a typing error, or the number of confirmations
                is negative.
            KeyFileError: The private key is none.
        """
        if isinstance(confirmations, int) and confirmations < 0:
            raise UsageError(
                f"{confirmations} confirmations are not possible.",
                hint='Use 0 or more, or "finalized".',
            )
        address = account_word(contract_address)
        node = _node_on(url, chain_id, timeout, max_fee_gwei)
        views = views_of(node, address)
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
            views=views,
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
        max_fee_gwei: float = MAX_FEE_GWEI,
        confirmations: Confirmations = 0,
        known: str | None = None,
        say: Callable[[str], object] = lambda _line: None,
    ) -> Deployment:
        """Deploy the derived views, then the shipped contract for these founders.

        Founders' sealing keys are not part of it: each publishes its own. What this account has
        deployed for the same founders before, in any order, is found again, and so is ``known`` if
        it has these founders; then nothing is sent.

        Args:
            url: The node's JSON-RPC address.
            chain_id: The expected chain id.
            private_key: Of the account that deploys and pays.
            founders: 2 to 50; of each, account and name are used.
            timeout: Seconds to wait for each piece of an answer, and for each transaction to be
                mined.
            max_fee_gwei: As in :meth:`connect`.
            confirmations: As in :meth:`connect`; both transactions are waited for.
            known: A contract that may be the wanted one already, whoever has deployed it.
            say: Told what is about to be sent, a line each.

        Raises:
            LedgerUnavailableError: Unreachable, or another chain id; or not mined or not final in
                time.
            LedgerRefusal: The contract does not take these founders; nothing was sent.
            UsageError: The number of founders is not possible, or a founder's account or name;
                nothing was sent.
            ForeignContractError: What the node has afterwards is not what was deployed.
            IntegrityError: A contract is there already, but the node has no founders of it.
            ConfigurationError: The chain asks for more than ``max_fee_gwei`` per unit of gas.
            KeyFileError: The private key is none.
        """
        node = _node_on(url, chain_id, timeout, max_fee_gwei)
        sender = Sender(
            node,
            chain_id=chain_id,
            private_key=private_key,
            timeout=timeout,
            confirmations=confirmations,
        )
        return Founding(node, sender, founders, say).run(known)


def _node_on(url: str, chain_id: int, timeout: float, max_fee_gwei: float) -> Node:
    node = Node(url, timeout=timeout, max_fee_gwei=max_fee_gwei)
    found = node.chain_id()
    if found != chain_id:
        raise LedgerUnavailableError(
            f"The chain at {node.name} has id {found}; expected was {chain_id}.",
            hint="Check the ledger's URL and chain id in the settings.",
        )
    return node
