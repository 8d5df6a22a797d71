"""``cdistrim site backup`` and ``restore``: a hospital loses its disk, and goes on."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from cdistrim.custody import context_of
from cdistrim.enrolment import enrol
from cdistrim.envelope import new_data_key
from cdistrim.sealing import Purpose, open_sealed, seal
from cdistrim.site import Site
from tests.cli.command_line import assert_explained, call
from tests.simulated import SimulatedConsortium

Simulate = Callable[..., SimulatedConsortium]


@pytest.fixture
def consortium(simulate: Simulate) -> SimulatedConsortium:
    """Two hospitals with an open campaign, in which the first one has enrolled."""
    simulated = simulate(size=2)
    simulated.found()
    number = simulated.open_campaign()
    enrol(simulated.site("hospital-1"), number)
    return simulated


@pytest.fixture
def site(consortium: SimulatedConsortium) -> Path:
    """The directory of the first."""
    return consortium.consortium.sites["hospital-1"]


def _disk_is_lost(directory: Path) -> None:
    """What the hospital has elsewhere comes back: its cases, and the passphrase."""
    kept = [directory / "data" / name for name in ("train.npz", "holdout.npz", "validation.npz")]
    content = {path: path.read_bytes() for path in [*kept, directory / "passphrase"]}
    shutil.rmtree(directory)
    (directory / "data").mkdir(parents=True)
    for path, data in content.items():
        path.write_bytes(data)
        path.chmod(0o600)


def test_a_site_that_was_restored_is_in_order_and_opens_what_was_sealed_to_it(
    consortium: SimulatedConsortium, site: Path, tmp_path: Path
) -> None:
    before = Site(site)
    published = before.ledger.members()[0].sealing_key
    model, secret = context_of(before, 1, 1, 0, before.account), new_data_key().reveal()
    sealed = seal(secret, published, model, Purpose.CAPSULE, before.account)
    salts = (site / "data" / "salts.json").read_bytes()
    file = tmp_path / "hospital-1.backup"

    made = call("site", "backup", site, file)

    assert made.code == 0, made.err
    assert "1 approved spec, salts of 48 cases" in made.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    _disk_is_lost(site)
    assert call("site", "check", site).code == 3

    restored = call("site", "restore", file, site)

    assert restored.code == 0, restored.err
    assert f"account {before.account}" in restored.out
    assert f"cdistrim site check {site}" in restored.out
    checked = call("site", "check", site)
    assert checked.code == 0, checked.err
    assert "ledger: member" in checked.out
    after = Site(site)
    key = after.keys.sealing_key
    assert open_sealed(sealed, key, model, Purpose.CAPSULE, after.account) == secret
    assert (site / "data" / "salts.json").read_bytes() == salts
    assert after.has_approved(consortium.spec.digest())
    enrol(after, 1)
    passphrase = (site / "passphrase").read_text()
    assert passphrase not in made.out + restored.out + file.read_text()


def test_what_can_go_wrong_has_its_exit_code(
    consortium: SimulatedConsortium, site: Path, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    assert_explained(call("site", "restore", file, site), 4, "already", str(site / "keys"))
    assert_explained(call("site", "restore", file, tmp_path / "new"), 2, str(file))
    assert call("site", "backup", site, file).code == 0
    assert_explained(call("site", "backup", site, file), 2, str(file), "overwrites nothing")

    _disk_is_lost(site)
    (site / "passphrase").write_text("wrong horse battery staple")
    wrong = call("site", "restore", file, site)
    assert_explained(wrong, 4, "passphrase is wrong")
    assert "horse" not in wrong.err

    file.write_bytes(file.read_bytes()[:-1])
    assert_explained(call("site", "restore", file, site), 7, str(file), "another copy")
    assert not (site / "keys").exists()

    other = consortium.consortium.sites["hospital-2"]
    (other / "keys" / "account.json").chmod(0o644)
    assert_explained(call("site", "backup", other, tmp_path / "b"), 4, "0644", "chmod 600")
    assert not (tmp_path / "b").exists()
