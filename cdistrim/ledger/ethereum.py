"""The ledger on an Ethereum chain, by RPC address only: anvil, Besu, or a public network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from eth_utils.address import is_address, to_checksum_address

from cdistrim.errors import ForeignContractError, LedgerUnavailableError, UsageError
from cdistrim.ledger.campaigns import CampaignWrites
from cdistrim.ledger.codec import artifact, views_artifact
from cdistrim.ledger.final_model import ModelWrites
from cdistrim.ledger.finality import Finality
from cdistrim.ledger.interface import MAX_FEE_GWEI, Confirmations, Deployment, Member
from cdistrim.ledger.members import MemberWrites
from cdistrim.ledger.node import Node, NodeRefusal, Reorganised
from cdistrim.ledger.reading import of_one_chain
from cdistrim.ledger.sending import Sender
from cdistrim.ledger.slots import SlotWrites
from cdistrim.ledger.votes import VoteWrites
from cdistrim.ledger.words import name_word

__all__ = ["EthereumLedger"]

_NOBODY = "0x" + "00" * 20


class EthereumLedger(MemberWrites, CampaignWrites, SlotWrites, VoteWrites, ModelWrites):
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
        node = _node_on(url, chain_id, timeout, max_fee_gwei)
        code = node.code(address)
        if not artifact().is_code(code):
            what = "other code" if code else "no code"
            raise ForeignContractError(
                f"There is {what} at {address} on chain {chain_id} ({node.name}); expected was "
                "this release's contract.",
                hint="Check the contract address, and that all partners run the same release.",
            )
        views = _views_of(node, address)
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
    ) -> Deployment:
        """Deploy the derived views, then the shipped contract for these founders.

        Founders' sealing keys are not part of it: each publishes its own.

        Raises:
            LedgerUnavailableError: Unreachable, or another chain id.
            LedgerRefusal: The contract does not take these founders.
            ConfigurationError: The chain asks for more than ``max_fee_gwei`` per unit of gas.
        """
        node = _node_on(url, chain_id, timeout, max_fee_gwei)
        sender = Sender(node, chain_id=chain_id, private_key=private_key, timeout=timeout)
        fields = [(founder.account, name_word(founder.name)) for founder in founders]
        # Encoded before anything is sent: a wrong founder costs nobody a deployment.
        artifact().encode_deployment([fields, _NOBODY])
        first = sender.transact(None, views_artifact().encode_deployment([]))
        views = str(to_checksum_address(first["contractAddress"]))
        second = sender.transact(None, artifact().encode_deployment([fields, views]))
        return Deployment(
            contract=str(to_checksum_address(second["contractAddress"])),
            views=views,
            block=int(second["blockNumber"]),
            gas=int(first["gasUsed"]) + int(second["gasUsed"]),
        )


def _node_on(url: str, chain_id: int, timeout: float, max_fee_gwei: float) -> Node:
    node = Node(url, timeout=timeout, max_fee_gwei=max_fee_gwei)
    found = node.chain_id()
    if found != chain_id:
        raise LedgerUnavailableError(
            f"The chain at {node.name} has id {found}; expected was {chain_id}.",
            hint="Check the ledger's URL and chain id in the settings.",
        )
    return node


@of_one_chain
def _views_of(node: Node, address: str) -> str:
    """The derived views that the contract names; its code says nothing about which these are."""
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
