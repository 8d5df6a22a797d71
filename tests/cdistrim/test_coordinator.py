from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest

from cdistrim.convening import convene
from cdistrim.coordinator import (
    COORDINATOR_VARIABLE,
    Coordinator,
    CoordinatorSettings,
    bound_coordinator,
)
from cdistrim.errors import ConfigurationError, UsageError
from cdistrim.ledger import Member
from cdistrim.protocol import Deed, Duty
from tests.simulated import SimulatedConsortium

Simulate = Callable[..., SimulatedConsortium]


def test_the_convener_is_asked_for_the_next_campaign_when_none_is_open(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    coordinator = Coordinator(simulated.found().coordinator)
    assert coordinator.open_campaign() is None

    duty = coordinator.open_or_convening()

    assert isinstance(duty, Duty)
    assert (duty.deed, duty.campaign) == (Deed.CONVENE, 1)
    assert duty.partner == simulated.site("hospital-1").account
    assert simulated.open_campaign() == coordinator.open_campaign() == 1
    assert coordinator.open_or_convening() == 1


def test_a_campaign_opened_while_the_coordinator_looks_is_not_opened_again(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated = simulate(size=2)
    coordinator = Coordinator(simulated.found().coordinator)
    members = coordinator.ledger.members

    def ledger_moves_on() -> tuple[Member, ...]:
        simulated.open_campaign()
        return members()

    monkeypatch.setattr(coordinator.ledger, "members", ledger_moves_on)

    duty = coordinator.open_or_convening()

    assert isinstance(duty, Duty)
    assert duty.campaign == 1
    assert convene(simulated.site("hospital-1"), duty.campaign) == 1
    assert coordinator.ledger.campaigns() == 1


def test_a_run_is_known_again_by_the_campaign_that_it_drove(simulate: Simulate) -> None:
    coordinator = Coordinator(simulate(size=2).found().coordinator)
    run, other = uuid4(), uuid4()
    assert coordinator.driven_by(run) == 0

    coordinator.note_driven(run, 3)

    assert (coordinator.driven_by(run), coordinator.driven_by(other)) == (3, 0)
    (note,) = (coordinator.directory / "runs").iterdir()
    note.write_text("three")  # A damaged note is none: the ledger is asked.
    assert coordinator.driven_by(run) == 0


def test_a_convener_who_is_no_member_is_refused(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    settings = Coordinator(simulated.found().coordinator).settings
    stranger = settings.model_copy(update={"convener": "nobody"})
    coordinator = Coordinator.create(simulated.directory / "other", stranger)
    with pytest.raises(ConfigurationError, match="no member as convener"):
        coordinator.open_or_convening()


def test_the_coordinator_can_write_nothing(simulate: Simulate) -> None:
    simulated = simulate(size=2)
    coordinator = Coordinator(simulated.found().coordinator)
    simulated.open_campaign()

    assert coordinator.ledger.account is None
    with pytest.raises(UsageError, match="only be read"):
        coordinator.ledger.enrol(campaign=1, cases=1, data_commitment=b"x" * 32, evaluator=True)
    assert sorted(path.name for path in coordinator.directory.iterdir()) == ["coordinator.json"]


def test_a_directory_without_or_with_wrong_settings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="missing"):
        Coordinator(tmp_path)
    (tmp_path / "coordinator.json").write_text('{"ledger_url": "file:///etc/passwd"}')
    with pytest.raises(ConfigurationError, match="invalid at ledger_url"):
        Coordinator(tmp_path)
    (tmp_path / "coordinator.json").write_text('{"passphrase_file": "passphrase"}')
    with pytest.raises(ConfigurationError, match="passphrase_file: there is no such setting"):
        Coordinator(tmp_path)


def test_a_process_that_is_bound_to_no_coordinator_is_told_how_to_bind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(COORDINATOR_VARIABLE, raising=False)
    with pytest.raises(ConfigurationError, match=COORDINATOR_VARIABLE):
        bound_coordinator()


def test_settings_survive_writing_and_reading(tmp_path: Path) -> None:
    settings = CoordinatorSettings(
        ledger_url="http://127.0.0.1:8545", chain_id=5, contract="0x" + "a" * 40, convener="x"
    )
    assert Coordinator(Coordinator.create(tmp_path, settings).directory).settings == settings
