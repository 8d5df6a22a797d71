"""``cdistrim data prove`` and ``data verify``: what a user sees, and exit codes.

What can be proven: ``tests/cdistrim/test_proving.py``; false proofs:
``tests/attacks/test_site_that_proves.py``.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command_line import assert_explained, call, start
from tests.committed import Committed, committed


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Committed]:
    """Two hospitals, both slots accepted; hospital-1 has signed that."""
    with committed(tmp_path_factory.mktemp("hospitals")) as consortium:
        consortium.open()
        consortium.slot(1, 1)
        consortium.slot(1, 2)
        assert call("site", "checkpoint", consortium.site("hospital-1").directory).code == 0
        yield consortium


@pytest.fixture(scope="module")
def site(hospitals: Committed) -> Path:
    return hospitals.site("hospital-1").directory


@pytest.fixture(scope="module")
def case(hospitals: Committed) -> str:
    return hospitals.site("hospital-1").data.train.ids[0]


@pytest.fixture
def proof(site: Path, case: str, tmp_path: Path) -> Path:
    file = tmp_path / "case.proof"
    ended = call("data", "prove", site, case, file, "--model", "hospital-2-2")
    assert ended.code == 0, ended.err
    return file


def words(text: str) -> str:
    """A text as one line."""
    return " ".join(text.split())


def test_prove_says_what_is_proven_and_what_is_not(site: Path, case: str, tmp_path: Path) -> None:
    file = tmp_path / "case.proof"
    ended = call("data", "prove", site, case, file, "--model", "hospital-2-2", "--with-label")
    assert ended.code == 0, ended.err
    assert "one of the 10 cases that hospital-1 committed to" in ended.out
    assert "an ancestor: hospital-2-2 from hospital-1-1" in ended.out
    assert "or used nothing else, is not in it" in ended.out
    assert "whoever has the file can test" in ended.out
    assert "The label is in it." in ended.out
    assert f"cdistrim data verify {file}" in ended.out
    assert case not in ended.out + ended.err
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_bytes())["label"] in (0, 1)


def test_a_proof_overwrites_nothing(site: Path, case: str, proof: Path) -> None:
    before = proof.read_bytes()
    again = ("data", "prove", site, case, proof, "--model", "hospital-2-2")
    assert_explained(call(*again), 2, str(proof), "overwrites nothing")
    link = proof.with_name("link")
    link.symlink_to(proof.with_name("nowhere"))
    assert_explained(call(*again[:4], link, *again[5:]), 2, "overwrites nothing")
    nowhere = proof.with_name("nowhere") / "proof"
    assert_explained(call(*again[:4], nowhere, *again[5:]), 2, str(nowhere))
    assert proof.read_bytes() == before
    assert sorted(path.name for path in proof.parent.iterdir()) == ["case.proof", "link"]


def test_a_proof_is_verified_by_a_sites_chain_and_by_what_it_signed(
    hospitals: Committed, site: Path, case: str, proof: Path
) -> None:
    ended = call("data", "verify", proof, site, "--case", case)
    assert ended.code == 0, ended.err
    assert "VERIFIED: the case is one of the 10 that hospital-1" in words(ended.out)
    assert case not in ended.out
    other = call("data", "verify", proof, hospitals.site("hospital-2").directory, "--case", case)
    assert other.code == 0
    assert "CONSISTENT, and no more" in words(other.out)


def test_an_auditor_needs_an_export_and_a_checkpoint(
    hospitals: Committed, site: Path, case: str, proof: Path, tmp_path: Path
) -> None:
    export = hospitals.export(tmp_path / "ledger.jsonl")
    by = ("data", "verify", proof, "--export", export)
    assert "CONSISTENT, and no more: some case is" in words(call(*by).out)
    signed = (*by, "--checkpoint", site / "checkpoints")
    ended = start(*signed, "--case", case, "--cases", site / "data" / "train.npz")
    assert ended.code == 0, ended.err
    assert "VERIFIED: the case" in words(ended.out)
    assert "signed by hospital-1 up to record" in words(ended.out)
    assert "label hidden" in words(ended.out).replace("ok ", "")
    assert "\x1b" not in ended.out
    assert case not in ended.out + ended.err
    ended = call(*signed, "--case", "another")
    assert_explained(ended, 7, "not for the case that was given: identifier", "--case")
    assert "proof is wrong" not in ended.err
    holdout = site / "data" / "holdout.npz"
    assert_explained(call(*signed, "--cases", holdout), 7, "disclosed cases", "none of 24 cases")


def test_a_false_proof_ends_with_7_and_the_first_thing_that_is_wrong(
    site: Path, proof: Path
) -> None:
    text = proof.read_text()
    proof.chmod(0o600)
    proof.write_text(text.replace('"model":"hospital-2-2"', '"model":"hospital-1-1"'))
    ended = call("data", "verify", proof, site)
    assert_explained(ended, 7, "The proof is wrong: model: hospital-1-1 has other weights")
    assert "NOT PROVEN." in ended.out
    assert "WRONG" in ended.out


def test_what_can_t_be_read_or_proven_has_its_exit_code(
    site: Path, case: str, proof: Path, tmp_path: Path
) -> None:
    nothing = tmp_path / "nothing"
    prove = ("data", "prove", site, case, nothing, "--model")
    assert_explained(call(*prove, "hospital-2-7"), 2, "no campaign has a slot")
    assert_explained(call(*prove, "hospital-1-1", "--campaign", 4), 2, "none of number 4")
    other = ("data", "prove", site, "no such case", nothing, "--model", "hospital-1-1")
    ended = call(*other)
    assert_explained(ended, 5, "The case is not in", "train.npz")
    assert "no such case" not in ended.err
    assert not nothing.exists()
    verify = ("data", "verify")
    assert_explained(call(*verify, nothing, site), 2, str(nothing))
    assert_explained(call(*verify, tmp_path, site), 2, str(tmp_path))
    assert_explained(call(*verify, proof), 2, "--export FILE")
    assert_explained(call(*verify, proof, site, "--export", nothing), 2, "not clear")
    assert_explained(call(*verify, proof, "--export", nothing), 2, str(nothing))
    assert_explained(call(*verify, proof, tmp_path), 3, "no site")
    assert_explained(call(*verify, proof, site, "--cases", nothing), 5, str(nothing))


def test_control_characters_of_a_forger_reach_no_terminal(site: Path, proof: Path) -> None:
    proof.write_text(proof.read_text().replace("hospital-1", "hospital\\u001b[2J-1"))
    ended = call("data", "verify", proof, site)
    assert ended.code == 7
    assert "\x1b" not in ended.out + ended.err
