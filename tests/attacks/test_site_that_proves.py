"""A site can't prove what is not so: no false proof passes ``cdistrim data verify``.

The attacker has a site's files, all salts of it, an honest proof, and may write any document. The
auditor has the ledger's history and trusts nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cdistrim.audit import Source, read_export
from cdistrim.audit.data_proof import DataProof, examine
from cdistrim.audit.history import History, read_history
from cdistrim.data.commitment import (
    Part,
    hide_case,
    hide_label,
    kept_leaves,
    load_salts,
    part_key,
)
from cdistrim.data.merkle import audit_path, merkle_root
from cdistrim.envelope import canonical_json
from cdistrim.errors import IntegrityError
from cdistrim.ledger import LoggedEvent
from cdistrim.proving import prove
from tests.cdistrim.audit.played import altered, forged
from tests.cli.command_line import assert_explained, call
from tests.committed import Committed, two_campaigns
from tests.factories import make_cases


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Committed]:
    with two_campaigns(tmp_path_factory.mktemp("hospitals")) as consortium:
        yield consortium


@pytest.fixture(scope="module")
def export(hospitals: Committed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return hospitals.export(tmp_path_factory.mktemp("export") / "ledger.jsonl")


@pytest.fixture(scope="module")
def history(export: Path) -> History:
    source = Source.of_export(export)
    return read_history(source.origin, source.records())


@pytest.fixture(scope="module")
def honest(hospitals: Committed) -> DataProof:
    """That the first case of hospital-3 is in hospital-2-5, with its label."""
    site = hospitals.site("hospital-3")
    return prove(site, site.data.train.ids[0], "hospital-2-5", with_label=True).proof


def denial(proof: DataProof, history: History) -> str:
    """Which check refuses a proof; empty if none does."""
    found = examine(proof, history).denied
    return "" if found is None else found.what


def made_up() -> dict[str, object]:
    """A case that never was there, hidden as it should be."""
    cases, salt = make_cases(1, 0, seed=99), bytes(32)
    hidden = hide_case("never there", 1, cases.volumes[0], salt)
    return {
        "hidden_id": hidden.id,
        "hidden_label": hidden.label,
        "hidden_volume": hidden.volume,
        "id_key": part_key(salt, Part.ID),
        "volume_key": part_key(salt, Part.VOLUME),
        "label": 1,
        "label_key": part_key(salt, Part.LABEL),
    }


def test_an_honest_proof_passes(honest: DataProof, history: History) -> None:
    assert denial(honest, history) == ""


def test_a_case_that_was_never_there_is_not_proven(honest: DataProof, history: History) -> None:
    """Neither at any place of the tree, nor with a root of its own, nor as a tree of one."""
    false = honest.model_copy(update=made_up())
    for index in range(honest.cases):
        assert denial(false.model_copy(update={"index": index}), history) == "case"
    own = {"data_commitment": false.hidden.leaf, "cases": 1, "index": 0, "path": []}
    assert denial(false.model_copy(update=own), history) == "commitment"


def test_a_case_that_came_after_the_enrolment_is_not_proven_by_the_later_tree(
    hospitals: Committed, history: History
) -> None:
    """The case is in campaign 2; its path, put into a proof about campaign 1, proves nothing."""
    site = hospitals.site("hospital-1")
    later = prove(site, site.data.train.ids[-1], "hospital-1-1", campaign=2).proof
    first = prove(site, site.data.train.ids[2], "hospital-1-1", campaign=1).proof
    assert denial(later, history) == ""
    assert denial(later.model_copy(update={"campaign": 1}), history) == "commitment"
    claims = {name: getattr(first, name) for name in ("campaign", "data_commitment", "cases")}
    assert denial(later.model_copy(update=claims), history) == "case"


def test_another_partners_root_proves_nothing(
    hospitals: Committed, honest: DataProof, history: History
) -> None:
    site = hospitals.site("hospital-2")
    other = prove(site, site.data.train.ids[0], "hospital-2-5").proof
    who = {name: getattr(other, name) for name in ("partner", "account")}
    root = {name: getattr(other, name) for name in ("cases", "data_commitment")}
    assert denial(honest.model_copy(update=who), history) == "commitment"
    assert denial(honest.model_copy(update=root), history) == "commitment"
    assert denial(honest.model_copy(update=who | root), history) == "case"
    assert denial(honest.model_copy(update={"partner": "hospital-2"}), history) == "partner"
    stranger = {"account": "0x" + 40 * "5"}
    assert denial(honest.model_copy(update=stranger), history) == "enrolment"


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"model": "hospital-1-1"}, "lineage"),
        ({"model": "hospital-2-2"}, "model"),
        ({"model": "hospital-1-4"}, "model"),
        ({"model": "hospital-3-5"}, "model"),
        ({"model": "hospital-3-3"}, "model"),
        ({"model": "hospital-4-7"}, "model"),
        ({"campaign": 2}, "model"),
        ({"campaign": 3}, "campaign"),
        ({"trained": [5, 3]}, "lineage"),
        ({"trained": [1]}, "lineage"),
        ({"chain_id": 1}, "contract"),
        ({"contract": "0x" + 40 * "5"}, "contract"),
    ],
    ids=lambda value: str(value),
)
def test_no_proof_is_for_another_model_campaign_or_consortium(
    honest: DataProof, history: History, changes: dict[str, object], what: str
) -> None:
    """A model without this partner, one taken back, one voted down, of somebody else, of none."""
    assert denial(honest.model_copy(update=changes), history) == what


def test_a_label_can_not_be_changed(
    hospitals: Committed, honest: DataProof, history: History
) -> None:
    """Nor by a leaf with the other label: that one is not in the tree."""
    assert honest.label is not None
    assert honest.label_key is not None
    other = 1 - honest.label
    assert denial(honest.model_copy(update={"label": other}), history) == "label"
    hidden = hide_label(honest.label_key, other)
    both = {"label": other, "hidden_label": hidden}
    assert denial(honest.model_copy(update=both), history) == "case"
    site = hospitals.site("hospital-3")
    leaves = kept_leaves(site.directory / "data", honest.data_commitment)
    assert leaves is not None
    leaves[honest.index] = honest.model_copy(update=both).hidden.leaf
    path = {"path": list(audit_path(leaves, honest.index))}
    assert denial(honest.model_copy(update=both | path), history) == "case"


def test_one_cases_keys_do_not_open_another(hospitals: Committed, history: History) -> None:
    site = hospitals.site("hospital-3")
    train = site.data.train
    one = prove(site, train.ids[0], "hospital-3-3").proof
    other = prove(site, train.ids[1], "hospital-3-3").proof
    mixed = one.model_copy(update={"id_key": other.id_key})
    for case in train.ids:
        denied = examine(mixed, history, case=case).denied
        assert denied is not None
        assert denied.what == "identifier"
    denied = examine(one, history, cases=train.subset([1])).denied
    assert denied is not None
    assert denied.what == "disclosed cases"


def test_another_scan_under_the_same_name_is_noticed(
    hospitals: Committed, history: History
) -> None:
    site = hospitals.site("hospital-3")
    train = site.data.train
    proof = prove(site, train.ids[0], "hospital-3-3").proof
    assert examine(proof, history, cases=train).denied is None
    volumes = train.volumes.copy()
    volumes[0, 0, 0, 0, 0] += 1
    denied = examine(proof, history, cases=type(train)(volumes, train.labels, train.ids)).denied
    assert denied is not None
    assert denied.why == "the case among them has another scan"


def test_every_field_of_a_proof_counts(honest: DataProof, history: History) -> None:
    """A change of any of them, to something of the same kind, is refused."""
    for name, value in honest:
        if name in ("kind", "version"):
            continue
        changed: object
        if name in ("id_key", "volume_key"):
            continue  # Looked at with an identifier or a scan only: see the tests above.
        if isinstance(value, bytes):
            changed = bytes([value[0] ^ 1]) + value[1:]
        elif isinstance(value, int):
            changed = value + 1
        elif isinstance(value, list):
            changed = value[:-1]
        else:
            # A digit stays one of an address, whatever the last one is.
            changed = value[:-1] + ("1" if value.endswith("0") else "0")
        assert denial(honest.model_copy(update={name: changed}), history), name


def test_any_changed_byte_of_the_file_is_refused(
    honest: DataProof, history: History, hospitals: Committed
) -> None:
    """As a document, or by what it then says; keys are tried with the identifier and the scan."""
    content = honest.to_bytes()
    train = hospitals.site("hospital-3").data.train.subset([0])
    for at in range(len(content)):
        bad = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        try:
            proof = DataProof.parse(bad)
        except IntegrityError:
            continue
        assert examine(proof, history, case=train.ids[0], cases=train).denied, at


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"kind":"data proof","version":1}',
        bytes(1 << 19),
    ],
    ids=["empty", "object", "nested", "fields missing", "large"],
)
def test_what_is_no_proof_is_refused(tmp_path: Path, export: Path, content: bytes) -> None:
    (tmp_path / "proof").write_bytes(content)
    ended = call("data", "verify", tmp_path / "proof", "--export", export)
    assert_explained(ended, 7, "data proof")


@pytest.mark.parametrize(
    "change", [{"label": None}, {"path": ["0x00"]}, {"path": 40 * ["0x" + 64 * "0"]}, {"index": -1}]
)
def test_a_proof_that_says_what_none_can_is_refused(
    honest: DataProof, change: dict[str, object]
) -> None:
    with pytest.raises(IntegrityError, match="not a canonical document"):
        DataProof.parse(canonical_json(honest.model_dump(mode="json") | change))


def test_a_history_that_was_made_to_fit_proves_nothing(
    hospitals: Committed, honest: DataProof, export: Path, tmp_path: Path
) -> None:
    """The attacker puts its own root into the enrolment and computes all hashes anew."""
    false = honest.model_copy(update=made_up())
    leaf = false.hidden.leaf
    site = hospitals.site("hospital-3")
    leaves = kept_leaves(site.directory / "data", honest.data_commitment)
    assert leaves is not None
    leaves[honest.index] = leaf
    root = merkle_root(leaves)
    false = false.model_copy(
        update={"data_commitment": root, "path": list(audit_path(leaves, honest.index))}
    )
    (tmp_path / "proof").write_bytes(false.to_bytes())
    events = [record.event for record in read_export(export)[1]]
    before, after = "0x" + honest.data_commitment.hex(), "0x" + root.hex()

    def enrolment_only(all_events: list[LoggedEvent]) -> list[LoggedEvent]:
        return [
            altered(each, dataCommitment=after)
            if each.name == "Enrolled" and each.arguments["dataCommitment"] == before
            else each
            for each in all_events
        ]

    def everywhere(all_events: list[LoggedEvent]) -> list[LoggedEvent]:
        return [
            altered(each, dataCommitment=after)
            if each.arguments.get("dataCommitment") == before
            else each
            for each in all_events
        ]

    assert enrolment_only(events) != events
    one = forged(export, tmp_path / "one", enrolment_only)
    ended = call("data", "verify", tmp_path / "proof", "--export", one)
    assert_explained(ended, 7, "nothing is proven by it", "First impossible")

    # Made to fit everywhere it breaks no rule: then only checkpoints tell.
    assert call("site", "checkpoint", site.directory).code == 0
    two = forged(export, tmp_path / "two", everywhere)
    ended = call("data", "verify", tmp_path / "proof", "--export", two)
    assert ended.code == 0
    assert "CONSISTENT, and no more" in " ".join(ended.out.split())
    signed = ("--checkpoint", site.directory / "checkpoints")
    ended = call("data", "verify", tmp_path / "proof", "--export", two, *signed)
    assert_explained(ended, 7, "nothing is proven by it", "First altered")


def test_an_altered_export_proves_nothing(honest: DataProof, export: Path, tmp_path: Path) -> None:
    (tmp_path / "proof").write_bytes(honest.to_bytes())
    lines = export.read_bytes().splitlines(keepends=True)
    (tmp_path / "cut").write_bytes(b"".join(lines[:20] + lines[21:]))
    ended = call("data", "verify", tmp_path / "proof", "--export", tmp_path / "cut")
    assert_explained(ended, 7, "nothing is proven by it", "First broken")


def test_salts_are_different_for_each_case(hospitals: Committed) -> None:
    salts = [
        salt
        for name in hospitals.names
        for salt in load_salts(hospitals.data(name) / "salts.json", ()).values()
    ]
    assert len(set(salts)) == len(salts) > 40
