"""What the contract's refusals mean: one sentence and one hint for each of its custom errors."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from cdistrim.errors import LedgerRefusal
from cdistrim.ledger.codec import artifact, views_artifact
from cdistrim.protocol import BallotId

__all__ = ["SENTENCES", "one_line", "refusal"]

_LONGEST = 200

_REREAD = "Read the campaign again; somebody else may have been faster."
_CHECK_SPEC = "Correct the campaign's spec."
_CHECK_RECORD = "Nothing was sent. This points to an error in this program or in its caller."
_CHECK_MEMBER = "Correct the member's account or name."

SENTENCES: Mapping[str, tuple[str, str]] = {
    # who asks
    "NotAMember": ("Account {account} is no member of the consortium.", "Use a member's key."),
    "NotAPartner": (
        "Account {account} is no partner of campaign {campaign}.",
        "Use a partner's key, or another campaign.",
    ),
    "NotYourTurn": (
        "Slot {slot} of campaign {campaign} belongs to {owner}, not to {caller}.",
        "Wait for your own slot.",
    ),
    "NoVote": (
        "Account {account} has no vote in this ballot.",
        "Only its electorate votes; use the key of one of them.",
    ),
    "AlreadyVoted": (
        "Account {account} has voted in this ballot.",
        "A vote is final; read the ballot to see it.",
    ),
    "AlreadyEnrolled": (
        "Account {account} is enrolled in campaign {campaign}, with other figures.",
        "An enrolment is final; take part with it, or wait for the next campaign.",
    ),
    # what exists
    "NoCampaign": (
        "There is no campaign {campaign}.",
        "`cdistrim campaign list SITE` shows those that there are.",
    ),
    "NoSlot": ("Campaign {campaign} has no slot {slot}.", "Slots count from 1."),
    "NoModel": (
        "Slot {slot} of campaign {campaign} has no accepted model.",
        "Read the slot to see why.",
    ),
    "NoBallot": ("There is no {ballot}.", _REREAD),
    "NoRemovals": (
        "Nobody who left the consortium is still a partner of campaign {campaign}.",
        "Go on: another member was faster.",
    ),
    "BallotAlreadyOpened": ("The {ballot} was opened before.", "Wait until it has ended."),
    "BallotAlreadyClosed": (
        "The {ballot} is closed.",
        "The vote was not needed any more; read the campaign again and go on.",
    ),
    "BallotVoid": (
        "The {ballot} is void: head, attempt or members have changed since it was opened.",
        "Ask anew if it is still wanted.",
    ),
    "WrongSubject": (
        "The ballot is about {subject}, not about {asked}.",
        "Look at what it is about now before voting.",
    ),
    # state and time
    "WrongCampaignState": ("The campaign is {state}; this needs {needed}.", _REREAD),
    "WrongState": ("The slot is {state}; this needs {needed}.", _REREAD),
    "WrongFinalFetchState": (
        "This account's fetch of the final model is {state}; this needs {needed}.",
        "Request the final model first, and wait for the ballot.",
    ),
    "WrongSlot": (
        "Asked for slot {asked} of campaign {campaign}, but slot {open} is open.",
        _REREAD,
    ),
    "WrongAttempt": ("Asked for attempt {asked}, but attempt {open} is open.", _REREAD),
    "WrongParent": (
        "The candidate started from slot {given}, but the head is slot {expected}.",
        "Fetch the head and train again.",
    ),
    "NotAnAncestor": (
        "Slot {target} is no ancestor of the head, slot {head}.",
        "Read the head's lineage and choose an earlier model of it.",
    ),
    "HeadMoved": (
        "The final model was granted as slot {granted}; since then slot {head} is the head.",
        "Request the final model again.",
    ),
    "RemovalsPending": (
        "Somebody who left the consortium is still a partner of campaign {campaign}.",
        "Let any member apply removals to the campaign first; a site's agent does it by itself.",
    ),
    "TooFewPartners": (
        "Campaign {campaign} has too few voters left for a ballot.",
        "A ballot needs at least two.",
    ),
    "DeadlinePassed": (
        "The deadline was {deadline}; the ledger's time is {time}.",
        "Any member may close the step.",
    ),
    "DeadlineNotPassed": (
        "The deadline is {deadline}; the ledger's time is {time}.",
        "Wait until it has passed.",
    ),
    # arguments
    "RecordMismatch": (
        "The vote was on the record {requestedDigest}; given was {givenDigest}.",
        "Confirm exactly the record that was voted on.",
    ),
    "HashTooEarly": (
        "In reported mode the ciphertext's and the capsule's hash come with the confirmation.",
        _CHECK_RECORD,
    ),
    "ZeroHash": ("A hash is missing.", _CHECK_RECORD),
    "BadCases": ("The number of cases must be at least 1.", "Check the site's data."),
    "BadCycles": (
        "{cycles} cycles are not possible: 1 at least, and 2,000 slots in all.",
        _CHECK_SPEC,
    ),
    "BadDeadline": ("A step can't take {given} seconds at most.", _CHECK_SPEC),
    "BadEvidence": ("{evidence} is no measurement: AUCs are in [0, 1].", _CHECK_RECORD),
    "BadName": ("{name!r} can't be a member's name.", _CHECK_MEMBER),
    "BadAccount": ("{account} can't be a member's account.", _CHECK_MEMBER),
    "BadOrder": ("A campaign can't have {partners} partners.", _CHECK_SPEC),
    "BadMembers": (
        "A consortium can't have {members} members.",
        "It has 2 to 50, and at most 128 in all its life.",
    ),
    "BadQuorum": ("A quorum of {quorum} of {partners} partners is not possible.", _CHECK_SPEC),
    "BadReason": (
        "{reason!r} is no reason for a restore ballot.",
        "A degraded candidate is refused in its own upload ballot.",
    ),
    "BadSealingKey": ("A sealing key can't have {length} bytes.", "Restore the site's keys."),
    "BadSignature": (
        "The signed vote at place {index} has no valid signature.",
        "Leave it out, and ask its voter to sign again.",
    ),
    "SameSealingKey": (
        "The sealing key {sealingKeyDigest} is this member's already.",
        "Nothing is left to do.",
    ),
    "NoSealingKey": (
        "Account {account} has published no sealing key.",
        "Publish it before taking part in a campaign.",
    ),
    "DuplicatePartner": ("Partner {account} is named twice in the order.", _CHECK_SPEC),
    "DuplicateMember": (
        "Account {account} or name {name!r} is or was a member's.",
        _CHECK_MEMBER,
    ),
}
"""Sentence and hint by the error's name; the sentence's fields are the error's arguments."""


def refusal(data: bytes, message: str = "") -> LedgerRefusal:
    """The error for what a call reverted with.

    Args:
        data: The revert data: a custom error, ``Error(string)``, a panic, or nothing.
        message: What the node said, for data that is no custom error of the contract.
    """
    decoded = artifact().decode_error(data) or views_artifact().decode_error(data)
    if decoded is None:
        said = one_line(message) or "no data"
        return LedgerRefusal(
            f"The contract refused the call without a reason of its own: {said}.",
            name="Reverted",
            hint="Check the contract address and the release of this program.",
        )
    name, arguments = decoded
    shown = {key: _shown(value) for key, value in arguments.items()}
    sentence, hint = SENTENCES[name]
    return LedgerRefusal(sentence.format(**shown), name=name, arguments=arguments, hint=hint)


def one_line(text: str) -> str:
    """What a node said, fit for messages: printable, on one line, no more than 200 characters.

    Else it could write whatever it likes to a terminal, or lines of its own into a log.
    """
    shown = "".join(
        each if each.isprintable() else repr(each)[1:-1] for each in text[: _LONGEST + 1]
    )
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


def _shown(value: object) -> object:
    if isinstance(value, BallotId):
        kind = f"{_shown(value.kind)} ballot of {value.opener}"
        if not value.campaign:
            return f"{kind}, number {value.attempt}"
        where = f"slot {value.slot}, attempt" if value.slot else "number"
        return f"{kind} in campaign {value.campaign}, {where} {value.attempt}"
    if isinstance(value, IntEnum):
        return value.name.lower().replace("_", " ")
    return value.hex() if isinstance(value, bytes) else value
