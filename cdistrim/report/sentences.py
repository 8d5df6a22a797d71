"""What the ledger's events say, one plain sentence each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from cdistrim.protocol import (
    BallotKind,
    CampaignState,
    LedgerEvent,
    Mode,
    RestoreReason,
    SkipReason,
    SlotState,
)
from cdistrim.report import wording
from cdistrim.report.chronicle import Chronicle, evidence_of, hexadecimal, number

__all__ = ["SKIP_WORDS", "Sentences"]

SKIP_WORDS: Mapping[SkipReason, str] = {
    SkipReason.NONE: "no reason on the ledger",
    SkipReason.FETCH_REFUSED: "the partners refused to release the head",
    SkipReason.DEGRADED: "its candidate was voted down",
    SkipReason.DEADLINE_PASSED: "a deadline passed",
    SkipReason.NOT_ENROLLED: "it takes no part in this campaign",
    SkipReason.OWNER_REMOVED: "it is no member any more",
    SkipReason.TOO_FEW_PARTNERS: "too few partners were left to decide",
}


_BALLOTS = {
    BallotKind.FETCH: "fetch",
    BallotKind.UPLOAD: "upload",
    BallotKind.RESTORE: "restore",
    BallotKind.JOIN: "request to join",
    BallotKind.FINAL_FETCH: "fetch of the final model",
    BallotKind.ADMISSION: "proposal of an admission",
    BallotKind.REMOVAL: "proposal of a removal",
}

_RESTORES = {
    RestoreReason.DEGRADED: "the candidate was voted down",
    RestoreReason.UNOPENABLE: "the head can't be opened",
    RestoreReason.IRREPRODUCIBLE: "the head is not what its record says",
}


class Sentences:
    """One sentence per event. Every name passes through
    :meth:`~cdistrim.report.chronicle.Chronicle.name_of`."""

    def __init__(self, chronicle: Chronicle) -> None:
        self._names = chronicle

    def of(self, event: LedgerEvent) -> str:
        snake = re.sub(r"(?<!^)(?=[A-Z])", "_", event.name).lower()
        write = getattr(self, f"_{snake}", None)
        if write is None:
            return wording.printable(f"Event {event.name}.")
        return str(write(event))

    def _who(self, event: LedgerEvent, argument: str = "account") -> str:
        return self._names.name_of(event.arguments.get(argument, ""))

    def _ballot(self, event: LedgerEvent) -> str:
        return _BALLOTS[BallotKind(number(event, "kind"))]

    def _member_admitted(self, event: LedgerEvent) -> str:
        return f"{self._who(event)} became a member."

    def _member_removed(self, event: LedgerEvent) -> str:
        return f"{self._who(event)} is no member any more."

    def _key_rotated(self, event: LedgerEvent) -> str:
        first = not hexadecimal(event.arguments.get("formerDigest"))
        return f"{self._who(event)} published {'its' if first else 'another'} sealing key."

    def _admission_proposed(self, event: LedgerEvent) -> str:
        name = wording.printable(str(event.arguments.get("name", "")))
        return f"{self._who(event, 'opener')} proposed to admit {name}."

    def _removal_proposed(self, event: LedgerEvent) -> str:
        return f"{self._who(event, 'opener')} proposed to remove {self._who(event)}."

    def _campaign_opened(self, event: LedgerEvent) -> str:
        order = event.arguments.get("order")
        partners = len(order) if isinstance(order, Sequence) else 0
        mode = Mode(number(event, "mode")).name.lower()
        return (
            f"{self._who(event, 'opener')} opened the campaign: {partners} partners, "
            f"cycles: {number(event, 'cycles')}, voting mode {mode}."
        )

    def _enrolled(self, event: LedgerEvent) -> str:
        role = "as an evaluator" if event.arguments.get("evaluator") else "without evaluating"
        cases = wording.count(number(event, "cases"))
        return f"{self._who(event)} enrolled with {cases} training cases, {role}."

    def _join_requested(self, event: LedgerEvent) -> str:
        cases = wording.count(number(event, "cases"))
        return f"{self._who(event, 'opener')} asked to join with {cases} training cases."

    def _partner_joined(self, event: LedgerEvent) -> str:
        return f"{self._who(event)} joined; its turn comes at the end of each cycle."

    def _voters_added(self, event: LedgerEvent) -> str:
        joiners = number(event, "seats").bit_count()
        return f"The head was dealt to {joiners} more: they vote from now on."

    def _partners_removed(self, event: LedgerEvent) -> str:
        gone = number(event, "seats").bit_count()
        return f"The campaign goes on without {gone} that left the consortium."

    def _campaign_started(self, event: LedgerEvent) -> str:
        return (
            f"The campaign started with {number(event, 'enrolled')} partners, "
            f"{number(event, 'evaluators')} of them evaluators."
        )

    def _slot_opened(self, event: LedgerEvent) -> str:
        head = self._names.head_name(number(event, "head"))
        return f"Slot {number(event, 'slot')}: {self._who(event, 'owner')}'s turn, from {head}."

    def _fetch_requested(self, event: LedgerEvent) -> str:
        return f"{self._who(event)} asked for the head."

    def _ballot_opened(self, event: LedgerEvent) -> str:
        voters = number(event, "electorate").bit_count()
        return (
            f"Ballot on {self._who(event, 'opener')}'s {self._ballot(event)}: "
            f"{number(event, 'quorum')} of {voters} votes needed."
        )

    def _vote_cast(self, event: LedgerEvent) -> str:
        vote = "yes" if event.arguments.get("approve") else "no"
        evidence = evidence_of(event.arguments.get("evidence"))
        ground = ""
        if evidence is not None:
            ground = (
                f": AUC {wording.auc(evidence.auc_candidate)} against the head's "
                f"{wording.auc(evidence.auc_head)} on {evidence.positives} + "
                f"{evidence.negatives} cases"
            )
        return f"{self._who(event)} voted {vote} on the {self._ballot(event)}{ground}."

    def _ballot_closed(self, event: LedgerEvent) -> str:
        outcome = "passed" if event.arguments.get("passed") else "failed"
        return (
            f"The {self._ballot(event)} ballot {outcome}: {number(event, 'yes')} yes, "
            f"{number(event, 'no')} no."
        )

    def _token_granted(self, event: LedgerEvent) -> str:
        return f"{self._who(event)} was granted a single-use {self._ballot(event)} token."

    def _token_redeemed(self, event: LedgerEvent) -> str:
        return f"{self._who(event)} used its {self._ballot(event)} token."

    def _model_opened(self, event: LedgerEvent) -> str:
        bad, missing = number(event, "bad"), number(event, "missing")
        trouble = f" (key shares: {bad} bad, {missing} missing)" if bad or missing else ""
        head = self._names.head_name(number(event, "head"))
        if not number(event, "deadline"):
            return f"{self._who(event)} opened {head}{trouble}."
        return f"{self._who(event)} opened {head}{trouble} and trains."

    def _candidate_submitted(self, event: LedgerEvent) -> str:
        name = self._names.head_name(number(event, "slot"))
        cases = wording.plural(number(event, "cases"), "case")
        return f"{self._who(event)} submitted {name}, trained on {cases}."

    def _model_accepted(self, event: LedgerEvent) -> str:
        return f"{self._names.head_name(number(event, 'slot'))} was accepted and is the head."

    def _slot_skipped(self, event: LedgerEvent) -> str:
        reason = SKIP_WORDS[SkipReason(number(event, "reason"))]
        return f"{self._who(event, 'owner')} was skipped: {reason}."

    def _slot_restarted(self, event: LedgerEvent) -> str:
        state = SlotState(number(event, "state")).name.lower()
        return f"Slot {number(event, 'slot')} starts over: {self._who(event, 'owner')} is {state}."

    def _restore_requested(self, event: LedgerEvent) -> str:
        target = self._names.head_name(number(event, "target"))
        reason = _RESTORES[RestoreReason(number(event, "reason"))]
        return f"{self._who(event, 'opener')} asked to go back to {target}: {reason}."

    def _head_restored(self, event: LedgerEvent) -> str:
        head = self._names.head_name(number(event, "to"))
        reason = _RESTORES[RestoreReason(number(event, "reason"))]
        return (
            f"Restored: work goes on from {head}, not from slot {number(event, 'from')}: {reason}."
        )

    def _capsule_added(self, event: LedgerEvent) -> str:
        model = self._names.head_name(number(event, "slot"))
        return f"{self._who(event)} shared the key of {model} anew."

    def _final_model_requested(self, event: LedgerEvent) -> str:
        return f"{self._who(event, 'opener')} asked for the final model."

    def _final_model_used(self, event: LedgerEvent) -> str:
        return f"{self._who(event)} uses the final model."

    def _campaign_completed(self, event: LedgerEvent) -> str:
        state = CampaignState(number(event, "state")).name.lower()
        accepted = wording.plural(number(event, "accepted"), "accepted model")
        return f"The campaign {state} with {accepted}."
