from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cdistrim.consortium import Consortium
from cdistrim.coordinator import Coordinator
from cdistrim.errors import ConfigurationError
from cdistrim.site import Site
from tests.simulated import SimulatedConsortium

Simulate = Callable[..., SimulatedConsortium]

ADDRESS = "0x" + "12" * 20


def test_founding_twice_finds_the_same_consortium(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    first = simulated.found()
    accounts = first.accounts()

    assert simulated.found() == first
    assert simulated.found().accounts() == accounts


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ("{", "the document"),
        ("[]", "the document"),
        ('{"sites": []}', "contract"),
        (f'{{"sites": ["../x"], "contract": "{ADDRESS}"}}', "sites.0"),
        (f'{{"sites": [1], "contract": "{ADDRESS}"}}', "sites.0"),
        (f'{{"sites": ["a"], "sites": ["b"], "contract": "{ADDRESS}"}}', '"sites" .* twice'),
    ],
)
def test_a_damaged_consortium_file_is_named(tmp_path: Path, content: str, where: str) -> None:
    (tmp_path / "consortium.json").write_text(content)

    with pytest.raises(ConfigurationError, match=rf"consortium\.json is invalid at .*{where}"):
        Consortium.open(tmp_path)


def test_founding_that_was_killed_keeps_the_keys(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    first = simulated.found()
    accounts = first.accounts()
    # Killed before the last file: neither the sites nor the contract are made again.
    (simulated.directory / "consortium.json").unlink()
    (simulated.directory / "hospital-2" / "site.json").unlink()

    second = simulated.found()

    assert second.accounts() == accounts
    assert second.contract == first.contract
    members = {member.account for member in simulated.site("hospital-1").ledger.members()}
    assert members == set(accounts)


def test_every_site_has_keys_and_data_of_its_own_which_others_cannot_read(
    simulate: Simulate,
) -> None:
    simulated = simulate(size=3)
    sites = [Site(path) for path in simulated.found().sites.values()]

    assert len({site.account for site in sites}) == 3
    assert len({site.data.train.digest() for site in sites}) == 3
    assert len({(site.directory / "passphrase").read_bytes() for site in sites}) == 3
    for site in sites:
        assert site.directory.stat().st_mode & 0o077 == 0
        assert (site.directory / "passphrase").stat().st_mode & 0o077 == 0


def test_everybody_learns_a_new_address_of_the_chain(simulate: Simulate) -> None:
    consortium = simulate(size=2).found()

    consortium.point_to("http://127.0.0.1:9")

    found = {Site(path).settings.ledger_url for path in consortium.sites.values()}
    assert found == {"http://127.0.0.1:9"}
    assert Coordinator(consortium.coordinator).settings.ledger_url == "http://127.0.0.1:9"


def test_where_nothing_was_founded_nothing_opens(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no consortium"):
        Consortium.open(tmp_path)
