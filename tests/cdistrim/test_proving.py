"""What a site can prove of its cases, and what it is told where it can't."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cdistrim.audit import Source
from cdistrim.audit.data_proof import DataProof, examine
from cdistrim.audit.history import History, read_history
from cdistrim.backup import back_up, restore
from cdistrim.data.balance import zoom_copies
from cdistrim.data.cases import CaseSet, SiteData
from cdistrim.data.commitment import COMMITMENTS, SALT_FILE, load_salts, write_salts
from cdistrim.errors import ConfigurationError, DataError, UsageError
from cdistrim.proving import prove
from cdistrim.site import Site
from cdistrim.spec import BalanceSpec
from tests.committed import Committed, two_campaigns
from tests.factories import make_cases


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Committed]:
    with two_campaigns(tmp_path_factory.mktemp("hospitals")) as consortium:
        yield consortium


@pytest.fixture(scope="module")
def history(hospitals: Committed) -> History:
    source = Source.of_ledger(hospitals.site("hospital-1").readable_ledger)
    return read_history(source.origin, source.records())


@pytest.fixture
def copy(hospitals: Committed, tmp_path: Path) -> Site:
    """A copy of hospital-2 whose files a test may change."""
    directory = hospitals.site("hospital-2").directory
    return Site(Path(shutil.copytree(directory, tmp_path / "copy")))


def first_case(site: Site) -> str:
    return site.data.train.ids[0]


# --- what can be proven ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "model", "trained", "said"),
    [
        ("hospital-3", "hospital-3-3", [3], "hospital-3 trained hospital-3-3 itself"),
        (
            "hospital-3",
            "hospital-2-5",
            [3],
            "hospital-3 trained hospital-3-3, an ancestor: hospital-2-5 from hospital-3-3",
        ),
        ("hospital-3", "hospital-3-6", [6, 3], "itself, and 1 ancestor of it"),
        ("hospital-2", "hospital-2-5", [5], "hospital-2 trained hospital-2-5 itself"),
        (
            "hospital-2",
            "hospital-4-7",
            [5],
            "an ancestor: hospital-4-7 from hospital-3-6 from hospital-2-5",
        ),
        ("hospital-4", "hospital-4-7", [7], "hospital-4 trained hospital-4-7 itself"),
    ],
    ids=lambda value: str(value).replace(" ", "-")[:24],
)
def test_each_case_of_a_partner_in_the_lineage_is_proven(
    hospitals: Committed, history: History, name: str, model: str, trained: list[int], said: str
) -> None:
    """Also those of a joiner; the model that was taken back counts for nobody."""
    site = hospitals.site(name)
    for case in site.data.train.ids:
        proved = prove(site, case, model)
        assert proved.proof.trained == trained
        assert said in proved.part.sentence
        assert proved.lost == 0
        examination = examine(proved.proof, history, case=case, cases=site.data.train)
        assert examination.denied is None
        assert DataProof.parse(proved.proof.to_bytes()) == proved.proof


def test_a_case_that_has_not_changed_is_proven_though_others_have(hospitals: Committed) -> None:
    site = hospitals.site("hospital-1")
    case = site.data.train.ids[2]  # Neither changed nor new.
    old = prove(site, case, "hospital-1-1", campaign=1)
    new = prove(site, case, "hospital-1-1", campaign=2)
    assert (old.lost, new.lost) == (3, 0)
    assert old.proof.data_commitment != new.proof.data_commitment
    assert old.proof.hidden_id == new.proof.hidden_id, "a case keeps its salt"


def test_no_key_is_needed(hospitals: Committed) -> None:
    site = hospitals.site("hospital-3")
    passphrase = site.directory / "passphrase"
    passphrase.rename(site.directory / "elsewhere")
    try:
        prove(site, first_case(site), "hospital-3-3")
    finally:
        (site.directory / "elsewhere").rename(passphrase)


def test_without_the_kept_leaves_unchanged_data_prove_as_well(copy: Site) -> None:
    case = first_case(copy)
    kept = prove(copy, case, "hospital-2-5").proof
    shutil.rmtree(copy.directory / "data" / COMMITMENTS)
    assert prove(copy, case, "hospital-2-5").proof == kept


def test_a_restored_site_proves_what_the_lost_one_did(hospitals: Committed, tmp_path: Path) -> None:
    """Also for an enrolment whose cases have changed since: the leaves are in the backup."""
    site = hospitals.site("hospital-1")
    case = site.data.train.ids[2]
    back_up(site, tmp_path / "backup")
    new = tmp_path / "new"
    site.data.save(new / "data")
    new.chmod(0o700)
    shutil.copy(site.directory / "passphrase", new / "passphrase")
    restore(tmp_path / "backup", new)
    for campaign in (1, 2):
        proof = prove(site, case, "hospital-1-1", campaign=campaign).proof
        assert prove(Site(new), case, "hospital-1-1", campaign=campaign).proof == proof


# --- what a proof holds ---------------------------------------------------------------------------


def test_nothing_of_a_case_is_in_a_proof_but_what_was_disclosed(hospitals: Committed) -> None:
    site = hospitals.site("hospital-2")
    train, case = site.data.train, first_case(site)
    salts = load_salts(site.directory / "data" / SALT_FILE, ())
    proof = prove(site, case, "hospital-2-5").proof
    shown = prove(site, case, "hospital-2-5", with_label=True).proof
    needles = [one.encode() for one in train.ids]
    needles += [salt.hex().encode() for salt in salts.values()]
    for content in (proof.to_bytes(), shown.to_bytes()):
        assert not [one for one in needles if one in content]
        assert str(site.directory).encode() not in content
    assert (proof.label, proof.label_key) == (None, None)
    assert shown.label == int(train.labels[0])


def test_a_hidden_label_is_not_found_by_trying_all(hospitals: Committed, history: History) -> None:
    """Neither key in the proof hides any label as it is hidden there."""
    site = hospitals.site("hospital-2")
    proof = prove(site, first_case(site), "hospital-2-5").proof
    for key in (proof.id_key, proof.volume_key):
        for label in range(256):
            tried = proof.model_copy(update={"label": label, "label_key": key})
            denied = examine(tried, history).denied
            assert denied is not None
            assert denied.what == "label"


# --- what can't be proven, and why ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "model", "campaign", "why"),
    [
        ("hospital-1", "hospital-1-1", None, "campaigns 1, 2 each have a model hospital-1-1"),
        ("hospital-1", "hospital-1-4", None, "never accepted: it was voted down"),
        ("hospital-2", "hospital-2-2", None, "was taken back"),
        ("hospital-2", "hospital-3-3", None, "neither hospital-3-3 nor a model that it descends"),
        ("hospital-2", "hospital-1-1", 1, "neither hospital-1-1 nor a model that it descends"),
        ("hospital-4", "hospital-3-6", None, "neither hospital-3-6 nor a model that it descends"),
        ("hospital-2", "hospital-2-2", 2, "hospital-2-2 is not accepted yet: its slot is WAITING"),
        ("hospital-2", "hospital-2-9", None, "no campaign has a slot"),
        ("hospital-2", "hospital-2-1", None, "no campaign has a slot"),
        ("hospital-2", "hospital-2-05", None, "no campaign has a slot"),
        ("hospital-2", "hospital-2", None, "no campaign has a slot"),
        ("hospital-2", "hospital-2-5", 3, "there is none of number 3"),
        ("hospital-2", "hospital-2-5", 2, "campaign 2 has no slot whose model would be"),
    ],
)
def test_a_model_that_is_not_so_is_not_proven(
    hospitals: Committed, name: str, model: str, campaign: int | None, why: str
) -> None:
    site = hospitals.site(name)
    with pytest.raises(UsageError, match=why) as caught:
        prove(site, site.data.train.ids[2], model, campaign=campaign)
    assert site.data.train.ids[2] not in str(caught.value)


def test_a_case_that_changed_or_came_later_is_told_so(hospitals: Committed) -> None:
    site = hospitals.site("hospital-1")
    label, volume, *_, new = site.data.train.ids
    gone = "train-1-2"
    for case, why in (
        (label, "has another label now"),
        (volume, "its volume or its salt has changed since"),
        (new, "or it came later"),
        (gone, "though it was when the site enrolled"),
        ("nobody", r"not in .*train\.npz\."),
        (site.data.holdout.ids[0], "in the hold-out set"),
    ):
        with pytest.raises(DataError, match=why) as caught:
            prove(site, case, "hospital-1-1", campaign=1)
        assert case not in str(caught.value)


def test_a_case_of_the_agreed_validation_set_is_nobodys_training_case(copy: Site) -> None:
    make_cases(2, 2, seed=90, prefix="validation").save(copy.directory / "data" / "validation.npz")
    with pytest.raises(DataError, match="in the validation set"):
        prove(copy, "validation-90-0", "hospital-2-5")


def test_zoomed_copies_are_no_cases(hospitals: Committed) -> None:
    site = hospitals.site("hospital-2")
    few = site.data.train.subset([*np.flatnonzero(site.data.train.labels == 0), *range(2)][:7])
    copies = [one for one in zoom_copies(few, BalanceSpec(), seed=1).ids if one not in few.ids]
    assert copies
    for one in copies:
        with pytest.raises(DataError, match="not in"):
            prove(site, one, "hospital-2-5")


def test_lost_leaves_and_other_data_prove_nothing(copy: Site) -> None:
    shutil.rmtree(copy.directory / "data" / COMMITMENTS)
    case = first_case(copy)
    data = copy.data
    SiteData(data.train.subset(range(len(data.train) - 1)), data.holdout).save(
        copy.directory / "data"
    )
    with pytest.raises(DataError, match="No case of campaign 1 can be proven") as caught:
        prove(Site(copy.directory), case, "hospital-2-5")
    for figure in ("11 cases", "the 12 then", "0 without a salt", "1 salt"):
        assert figure in caught.value.what


def test_a_lost_or_other_salt_is_told(copy: Site) -> None:
    path, case = copy.directory / "data" / SALT_FILE, first_case(copy)
    salts = load_salts(path, ())
    write_salts(path, salts | {case: bytes(32)})
    with pytest.raises(DataError, match="its salt has changed"):
        prove(copy, case, "hospital-2-5")
    write_salts(path, {one: salt for one, salt in salts.items() if one != case})
    with pytest.raises(DataError, match="has no salt"):
        prove(copy, case, "hospital-2-5")
    assert case not in load_salts(path, ()), "a proof makes no salts"


def test_damaged_leaves_are_named(copy: Site) -> None:
    for file in (copy.directory / "data" / COMMITMENTS).iterdir():
        file.write_bytes(bytes(64))
    with pytest.raises(DataError, match="damaged"):
        prove(copy, first_case(copy), "hospital-2-5")


def test_who_is_no_member_proves_nothing(copy: Site) -> None:
    text = (copy.directory / "site.json").read_text()
    (copy.directory / "site.json").write_text(text.replace("hospital-2", "hospital-9"))
    site = Site(copy.directory)
    with pytest.raises(ConfigurationError, match="hospital-9 is no member"):
        prove(site, first_case(site), "hospital-2-5")


def test_one_case_is_told_from_its_equal_by_name(hospitals: Committed, history: History) -> None:
    """The same scan under another identifier is another case."""
    site = hospitals.site("hospital-2")
    case = first_case(site)
    proof = prove(site, case, "hospital-2-5").proof
    train = site.data.train
    twin = CaseSet(train.volumes[:1], train.labels[:1], ("twin",))
    denied = examine(proof, history, cases=twin).denied
    assert denied is not None
    assert denied.why == "none of 1 case has its identifier"
