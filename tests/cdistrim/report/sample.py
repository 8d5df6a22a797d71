"""A made-up campaign of four hospitals and three cycles, told by the contract's events."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from cdistrim.protocol import (
    BallotKind,
    CampaignState,
    CampaignView,
    Enrolment,
    LedgerEvent,
    Mode,
    RestoreReason,
    SkipReason,
)
from cdistrim.report.build import build_report
from cdistrim.report.figures import CampaignReport
from cdistrim.report.measured import Measured, compare, lidc_notes, measure
from cdistrim.spec import CampaignSpec, GenesisSpec

START = 1_760_000_000
HOSPITALS = ("hospital-1", "hospital-2", "hospital-3", "hospital-4")
CASES = (176, 141, 88, 158)
HOLDOUTS = ((24, 26), (20, 22), (14, 15), (22, 23))


def account(index: int) -> str:
    """A checksummed-looking account."""
    return "0x" + hashlib.sha256(f"account {index}".encode()).hexdigest()[:40]


def digest(text: str) -> bytes:
    """Any 32 bytes."""
    return hashlib.sha256(text.encode()).digest()


@dataclass
class Chain:
    """Collects events; one call of :meth:`send` is one transaction."""

    events: list[LedgerEvent] = field(default_factory=list)
    block: int = 0
    time: int = START

    def send(
        self, sender: str, gas: int, *events: tuple[str, dict[str, object]], seconds: int = 1
    ) -> None:
        self.block += 1
        self.time += seconds
        transaction = "0x" + digest(f"transaction {self.block}").hex()
        for index, (name, arguments) in enumerate(events):
            self.events.append(
                LedgerEvent(name, arguments, self.block, self.time, transaction, gas, index, sender)
            )


@dataclass
class Story:
    """What happens: slot numbers by fate, names by position, figures of the candidates."""

    names: tuple[str, ...] = HOSPITALS
    cycles: int = 3
    refused: tuple[int, ...] = (3, 7)
    late: tuple[int, ...] = ()
    mode: Mode = Mode.HOLDOUT
    sabotaged: str | None = "hospital-3"
    seed: int = 7

    @property
    def accounts(self) -> tuple[str, ...]:
        return tuple(account(i) for i in range(len(self.names)))


def tell(story: Story) -> tuple[CampaignView, tuple[LedgerEvent, ...]]:
    """The view and events of a story, in the contract's order and with its argument names."""
    chain, accounts = Chain(), story.accounts
    rng = np.random.default_rng(story.seed)
    founded: list[tuple[str, dict[str, object]]] = [
        ("MemberAdmitted", {"account": a, "name": n, "seat": 0})
        for a, n in zip(accounts, story.names, strict=True)
    ]
    chain.send(accounts[0], 3_912_044, *founded)
    opened: dict[str, object] = {
        "campaign": 1, "opener": accounts[0], "order": accounts, "cycles": story.cycles,
        "mode": int(story.mode), "specHash": digest("spec"), "quorum": 0,
    }  # fmt: skip
    chain.send(accounts[0], 288_310, ("CampaignOpened", opened))
    for i, who in enumerate(accounts):
        enrolled: dict[str, object] = {
            "campaign": 1, "account": who, "cases": CASES[i % 4],
            "dataCommitment": digest(f"data {i}"), "evaluator": True,
        }  # fmt: skip
        more = [_slot_opened(story, 1, 0)] if i == len(accounts) - 1 else []
        chain.send(who, 91_000 + 13 * i, ("Enrolled", enrolled), *more, seconds=2)
    head, skill, accepted = 0, 0.55, 0
    slots = len(accounts) * story.cycles
    for slot in range(1, slots + 1):
        gain = float(rng.normal(0.5, 0.2)) * (0.89 - skill)
        bad = slot in story.refused
        candidate = skill - 0.16 if bad else skill + gain
        ended = _slot(chain, story, slot, head, (skill, candidate), rng)
        if not bad and slot not in story.late:
            head, skill, accepted = slot, candidate, accepted + 1
        over: dict[str, object] = {"campaign": 1, "state": 2, "head": head, "accepted": accepted}
        follow = ("CampaignCompleted", over)
        _append(chain, ended, _slot_opened(story, slot + 1, head) if slot < slots else follow)
    view = CampaignView(
        number=1,
        spec_hash=spec(story).digest(),
        genesis_hash=digest("genesis"),
        state=CampaignState.COMPLETED if accepted else CampaignState.FAILED,
        mode=story.mode,
        order=accounts,
        cycles=story.cycles,
        enrolments=tuple(
            Enrolment(a, n, CASES[i % 4], digest(f"data {i}"), True)
            for i, (a, n) in enumerate(zip(accounts, story.names, strict=True))
        ),
        head=head,
        accepted=accepted,
        slots=slots,
        now=chain.time,
        enrol_deadline=START + 3600,
    )
    return view, tuple(chain.events)


def _append(chain: Chain, sender: str, event: tuple[str, dict[str, object]]) -> None:
    """Add an event to the last transaction."""
    last = chain.events[-1]
    chain.events.append(
        replace(last, name=event[0], arguments=event[1], index=last.index + 1, sender=sender)
    )


def _slot_opened(story: Story, slot: int, head: int) -> tuple[str, dict[str, object]]:
    owner = story.accounts[(slot - 1) % len(story.accounts)]
    return "SlotOpened", {
        "campaign": 1, "slot": slot, "attempt": 1, "owner": owner, "head": head,
    }  # fmt: skip


def _slot(
    chain: Chain,
    story: Story,
    slot: int,
    head: int,
    skills: tuple[float, float],
    rng: np.random.Generator,
) -> str:
    """One slot's transactions up to its end; the sender of the last one."""
    accounts = story.accounts
    mine = (slot - 1) % len(accounts)
    owner = accounts[mine]
    others = [i for i in range(len(accounts)) if i != mine]
    quorum = len(accounts) // 2 + 1
    at: dict[str, object] = {"campaign": 1, "slot": slot, "attempt": 1}
    electorate = (1 << len(accounts)) - 1

    def ballot(step: BallotKind) -> tuple[str, dict[str, object]]:
        return "BallotOpened", at | {
            "kind": int(step), "opener": owner, "quorum": quorum, "electorate": electorate,
        }  # fmt: skip

    if slot in story.late:
        skipped = at | {"owner": owner, "reason": int(SkipReason.DEADLINE_PASSED)}
        chain.send(accounts[others[0]], 84_200, ("SlotSkipped", skipped), seconds=3600)
        return accounts[others[0]]
    chain.send(
        owner, 121_911 + slot, ("FetchRequested", at | {"account": owner}), ballot(BallotKind.FETCH)
    )
    for n, i in enumerate(others[: quorum - 1]):
        vote = at | {"kind": 0, "account": accounts[i], "approve": True, "evidence": (0,) * 5}
        closing = _closed(at, BallotKind.FETCH, quorum, 0, owner) if n == quorum - 2 else []
        chain.send(accounts[i], 63_870 + 900 * len(closing), ("VoteCast", vote), *closing)
    redeemed = at | {"kind": 0, "account": owner}
    opened = at | {"account": owner, "head": head, "good": 1, "bad": 0, "missing": 0}
    chain.send(owner, 58_402, ("TokenRedeemed", redeemed), ("ModelOpened", opened), seconds=2)
    evidence = [_evidence(*skills, *HOLDOUTS[i % 4], rng) for i in range(len(accounts))]
    record = (head, digest(f"c{slot}"), digest(f"w{slot}"), digest(f"k{slot}"), evidence[mine])
    submitted = at | {
        "account": owner, "candidate": record,
        "cases": CASES[mine % 4], "dataCommitment": digest("data"),
    }  # fmt: skip
    chain.send(
        owner, 243_550, ("CandidateSubmitted", submitted), ballot(BallotKind.UPLOAD), seconds=13
    )
    return _upload_votes(chain, story, slot, others, evidence, at, head)


def _upload_votes(
    chain: Chain,
    story: Story,
    slot: int,
    others: list[int],
    evidence: list[tuple[int, ...]],
    at: dict[str, object],
    head: int,
) -> str:
    accounts = story.accounts
    owner = accounts[(slot - 1) % len(accounts)]
    quorum = len(accounts) // 2 + 1
    approve = slot not in story.refused
    needed = quorum - 1 if approve else len(accounts) - quorum + 1
    for n, i in enumerate(others[:needed]):
        measured = evidence[i] if story.mode is Mode.HOLDOUT else (0,) * 5
        vote = at | {
            "kind": 1, "account": accounts[i], "approve": approve, "evidence": measured,
        }  # fmt: skip
        events: list[tuple[str, dict[str, object]]] = [("VoteCast", vote)]
        if n == needed - 1 and approve:
            events += _closed(at, BallotKind.UPLOAD, quorum, 0, owner)
            events.append(("ModelAccepted", at | {
                "account": owner, "ciphertextHash": digest(f"c{slot}"),
                "weightsHash": digest(f"w{slot}"), "capsuleHash": digest(f"k{slot}"),
            }))  # fmt: skip
        elif n == needed - 1:
            reason = int(SkipReason.DEGRADED)
            events += _closed(at, BallotKind.UPLOAD, 1, needed, owner)
            events.append(("SlotSkipped", at | {"owner": owner, "reason": reason}))
            restored: dict[str, object] = {"campaign": 1, "slot": slot, "from": slot, "to": head}
            events.append(("HeadRestored", restored | {"reason": int(RestoreReason.DEGRADED)}))
        chain.send(accounts[i], 71_040 + 31_000 * (len(events) > 1), *events, seconds=2)
    return accounts[others[needed - 1]]


def _closed(
    at: dict[str, object], step: BallotKind, yes: int, no: int, owner: str
) -> list[tuple[str, dict[str, object]]]:
    passed = not no
    closed = at | {"kind": int(step), "passed": passed, "yes": yes, "no": no}
    events: list[tuple[str, dict[str, object]]] = [("BallotClosed", closed)]
    if passed and step is BallotKind.FETCH:
        events.append(("TokenGranted", at | {"kind": int(step), "account": owner}))
    return events


def _evidence(
    head: float, candidate: float, positives: int, negatives: int, rng: np.random.Generator
) -> tuple[int, ...]:
    """As the ledger has it: AUCs in 1e-9, the variance in 1e-18."""
    noise = rng.normal(0, 0.02)
    aucs = [min(1.0, max(0.0, a + noise + rng.normal(0, 0.008))) for a in (head, candidate)]
    return (int(aucs[0] * 1e9), int(aucs[1] * 1e9), int(4e-4 * 1e18), positives, negatives)


def spec(story: Story) -> CampaignSpec:
    """A spec that fits the story."""
    return CampaignSpec(
        name="sample",
        task="Malignancy of lung nodules on CT (LIDC-IDRI)",
        order=tuple(f"hospital-{i + 1}" for i in range(len(story.names))),
        cycles=story.cycles,
        genesis=GenesisSpec(weights_hash=digest("genesis").hex()),
    )


STEPS = {
    "request token": 0.6, "fetch": 0.05, "decrypt": 0.08, "train": 9.4, "evaluate": 0.8,
    "encrypt": 0.1, "deposit": 0.07, "request upload": 0.3, "votes": 2.1, "confirm": 0.2,
}  # fmt: skip


def measured(story: Story) -> Measured:
    """Times and test results, made up from a seed."""
    rng = np.random.default_rng(story.seed)
    truth = (rng.random(141) < 0.46).astype(int)
    logits = rng.normal(0, 1, 141) + 1.75 * truth
    sequential = 1 / (1 + np.exp(-(logits - 0.9) * 1.3))
    central = 1 / (1 + np.exp(-(logits + rng.normal(0, 0.45, 141) - 0.8) * 1.1))
    slots = range(1, len(story.names) * story.cycles + 1)
    seconds: Mapping[int, Mapping[str, float]] = {
        slot: {step: s * float(rng.uniform(0.7, 1.3)) for step, s in STEPS.items()}
        for slot in slots
        if slot not in story.late
    }
    return Measured(
        run_id="2026-11-23-demo-7f3a",
        created=datetime(2026, 11, 23, 15, 42, tzinfo=UTC),
        chain_id=31337,
        contract="0x5FbDB2315678afecb367f032d93F642f64180aa3",
        wall_seconds=213.4,
        versions={"python": "3.11.2", "cdistrim": "0.1.0", "torch": "2.13.0"},
        seconds=seconds,
        reasons={(3, story.names[0]): "worse than the head by more than the margin"},
        sequential=measure("sequential", truth, sequential),
        central=measure("central", truth, central),
        comparison=compare(truth, sequential, central, 0.05),
        notes=lidc_notes(),
        sabotaged=story.sabotaged,
    )


def report(story: Story | None = None) -> CampaignReport:
    """The report of a story."""
    story = story or Story()
    view, events = tell(story)
    members = {
        a.upper().replace("0X", "0x"): n for a, n in zip(story.accounts, story.names, strict=True)
    }
    return build_report(view, events, members, spec(story), measured(story))
