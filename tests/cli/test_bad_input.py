"""Bad input at a site: a clear message, the documented exit code, nothing lost.

Real keys, store, contract and chain; each test breaks one of them and calls a command.
"""

from __future__ import annotations

import io
import json
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cdistrim.data.cases import CaseSet
from cdistrim.devnet import Devnet
from cdistrim.site import Site
from tests.cli.command_line import assert_explained, call, start
from tests.simulated import SimulatedConsortium

Simulate = Callable[..., SimulatedConsortium]


@pytest.fixture
def consortium(simulate: Simulate) -> SimulatedConsortium:
    """Two hospitals with an open campaign."""
    simulated = simulate(size=2)
    simulated.found()
    simulated.open_campaign()
    return simulated


@pytest.fixture
def site(consortium: SimulatedConsortium) -> Path:
    """The directory of a site that is in order."""
    directory = consortium.consortium.sites["hospital-1"]
    assert call("site", "check", directory).code == 0
    return directory


def _set(directory: Path, **changes: object) -> None:
    path = directory / "site.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _spec_object(consortium: SimulatedConsortium) -> Path:
    return consortium.consortium.store / "specs" / consortium.spec.digest().hex()


# --- the ledger ---


def test_an_unreachable_chain(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    _set(site, ledger_url=f"http://127.0.0.1:{port}/secret-api-key")

    ended = call("site", "check", site)

    assert_explained(ended, 11, f"127.0.0.1:{port}", "node runs")
    assert "secret-api-key" not in ended.err


def test_a_wrong_chain_id(site: Path) -> None:
    _set(site, chain_id=5)

    assert_explained(call("site", "check", site), 11, "31337", "5")


def test_an_address_without_code(site: Path) -> None:
    address = "0x" + "12" * 20
    _set(site, contract=address)

    assert_explained(call("site", "check", site), 9, "no code", address)


def test_settings_with_an_address_that_is_none(site: Path) -> None:
    _set(site, contract="0x12")

    assert_explained(call("site", "check", site), 3, "site.json", "contract")


def test_settings_that_are_no_json(site: Path) -> None:
    (site / "site.json").write_text("{")

    assert_explained(call("site", "check", site), 3, "site.json")


def test_a_campaign_that_is_not_on_the_ledger(site: Path) -> None:
    assert_explained(call("campaign", "status", site, 7), 13, "7", "campaign list")


def test_a_name_that_is_not_the_ledgers(site: Path) -> None:
    _set(site, name="hospital-7")

    assert_explained(call("site", "check", site), 3, "hospital-7", "hospital-1")


# --- the store ---


def test_a_store_that_is_no_directory(site: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    _set(site, store_url=f"file://{tmp_path}/file")

    assert_explained(call("campaign", "review", site, 1), 12, "no directory", str(tmp_path))


def test_a_store_that_is_not_writable(site: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    url = f"file://{tmp_path}/file/store"
    _set(site, store_url=url)

    assert_explained(call("site", "check", site), 12, url)


def test_what_is_tried_is_said_before_it_is_tried(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def slow(*_: object) -> None:
        assert isinstance(sys.stderr, io.StringIO), "as `call` has it"
        said.append(sys.stderr.getvalue())

    monkeypatch.setattr("cdistrim.store.ObjectStore.check_writable", slow)

    assert call("site", "check", site).code == 0
    assert f"trying to write to {Site(site).settings.store_url}" in said[0]


def test_a_store_on_a_file_system_that_takes_no_files(site: Path) -> None:
    _set(site, store_url="file:///proc/cdistrim")

    ended = call("site", "check", site)

    assert_explained(ended, 12, "no store at file:///proc/cdistrim", "all sites can write")
    assert "bucket" not in ended.err


def test_a_store_whose_directory_is_not_there_is_not_made(site: Path, tmp_path: Path) -> None:
    root = tmp_path / "not-mounted"
    _set(site, store_url=f"file://{root}")

    ended = call("site", "check", site)

    assert_explained(
        ended, 12, f"no store at file://{root}", "Mount its volume", f"make the directory {root}"
    )
    assert "store: not yet" in ended.out
    assert not root.exists()


def test_a_store_that_this_account_may_not_write_to(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("cdistrim.store._write_exclusively", refused)

    ended = call("site", "check", site)

    root = Site(site).settings.store_url.removeprefix("file://")
    assert_explained(ended, 12, "Permission denied", f"write to {root} and all below", "chmod")


@pytest.mark.parametrize("url", ["carrier-pigeon+v2://loft", "ftp://x", "http://x/y", "file://x"])
def test_a_store_of_another_kind(site: Path, url: str) -> None:
    assert_explained(call("verify", site, "--store", url), 3, url, "gs://")
    _set(site, store_url=url)

    for command in (("site", "check", site), ("campaign", "review", site, 1), ("verify", site)):
        assert_explained(call(*command), 3, "site.json", "store_url", "gs://")


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_a_spec_that_is_not_what_the_ledger_names(
    consortium: SimulatedConsortium, site: Path, damage: str
) -> None:
    path = _spec_object(consortium)
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if damage == "truncated" else content.replace(b"0", b"1", 1))

    for command in ("review", "approve"):
        ended = call("campaign", command, site, 1)
        assert_explained(ended, 7, consortium.spec.digest().hex(), "backup")

    path.write_bytes(content)
    assert call("campaign", "review", site, 1).code == 0


def test_a_spec_swapped_with_another_valid_one(consortium: SimulatedConsortium, site: Path) -> None:
    other = consortium.spec.model_copy(update={"cycles": 9})
    _spec_object(consortium).write_bytes(other.canonical())
    Site(site).refuse_spec(consortium.spec.digest())

    ended = call("campaign", "approve", site, 1)

    assert_explained(ended, 7, other.digest().hex(), consortium.spec.digest().hex())
    assert not Site(site).has_approved(consortium.spec.digest())


# --- keys ---


def test_key_files_that_others_can_read(site: Path) -> None:
    for name in ("keys/account.json", "keys/sealing.key", "passphrase"):
        (site / name).chmod(0o640)
        ended = call("site", "check", site)
        assert_explained(ended, 4, str(site / name), "0640", "chmod 600")
        (site / name).chmod(0o600)

    assert call("site", "check", site).code == 0


def test_a_directory_of_keys_that_others_can_write_to(site: Path) -> None:
    (site / "keys").chmod(0o777)

    assert_explained(call("site", "check", site), 4, "0777", "chmod 700")


@pytest.mark.parametrize("part", [".", "approved", "data", "memory", "refused", "work"])
@pytest.mark.parametrize("mode", [0o702, 0o720])
def test_a_site_that_others_can_write_to(site: Path, part: str, mode: int) -> None:
    (site / part).chmod(mode)

    for command in (("site", "check", site), ("campaign", "approve", site, 1), ("verify", site)):
        assert_explained(call(*command), 4, f"chmod 700 {site / part}", f"{mode:04o}")

    (site / part).chmod(0o755)
    assert call("site", "check", site).code == 0


def test_settings_that_others_can_write_to(site: Path) -> None:
    (site / "site.json").chmod(0o666)

    for command in (("site", "check", site), ("data", "check", site)):
        assert_explained(call(*command), 4, "0666", f"chmod 600 {site / 'site.json'}")

    (site / "site.json").chmod(0o644)
    assert call("site", "check", site).code == 0


def test_a_wrong_passphrase(site: Path) -> None:
    (site / "passphrase").write_text("wrong horse battery staple")

    ended = call("site", "check", site)

    assert_explained(ended, 4, "passphrase is wrong")
    assert "horse" not in ended.err


def test_no_passphrase_at_all(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "passphrase").unlink()
    monkeypatch.delenv("CDISTRIM_PASSPHRASE", raising=False)

    assert_explained(call("site", "check", site), 4, "CDISTRIM_PASSPHRASE")


@pytest.mark.parametrize("name", ["account.json", "sealing.key"])
def test_a_key_file_that_is_another_sites(
    consortium: SimulatedConsortium, site: Path, name: str
) -> None:
    shutil.copy(consortium.consortium.sites["hospital-2"] / "keys" / name, site / "keys" / name)

    assert_explained(call("site", "check", site), 4, name)


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\xff", b'{"version": 3}'])
def test_a_key_file_that_is_none(site: Path, content: bytes) -> None:
    (site / "keys" / "account.json").write_bytes(content)

    assert_explained(call("site", "check", site), 4, "account.json", "backup")


# --- data ---


def _without_a_class(cases: CaseSet) -> CaseSet:
    return cases.subset([int(index) for index in (cases.labels == 0).nonzero()[0]])


@pytest.mark.parametrize("name", ["train.npz", "holdout.npz"])
def test_a_site_without_a_set_of_cases(site: Path, name: str) -> None:
    (site / "data" / name).unlink()

    assert_explained(call("site", "check", site), 5, name)


@pytest.mark.parametrize("name", ["train.npz", "holdout.npz"])
def test_a_site_without_cases(site: Path, name: str) -> None:
    path = site / "data" / name
    with np.load(path) as full:
        np.savez(path, allow_pickle=False, **{field: full[field][:0] for field in full.files})

    assert_explained(call("site", "check", site), 5, name, "no cases")


@pytest.mark.parametrize("name", ["train.npz", "holdout.npz"])
def test_a_site_with_one_class(site: Path, name: str) -> None:
    path = site / "data" / name
    _without_a_class(CaseSet.load(path)).save(path)

    assert_explained(call("site", "check", site), 5, name, "0 of class 1")


def test_a_case_that_is_in_two_sets(site: Path) -> None:
    train, holdout = (CaseSet.load(site / "data" / f"{name}.npz") for name in ("train", "holdout"))
    twice = CaseSet(train.volumes, train.labels, (*holdout.ids[:2], *train.ids[2:]))
    twice.save(site / "data" / "train.npz")

    ended = call("site", "check", site)

    assert_explained(ended, 5, str(site / "data"), "2 of the cases in train.npz are in holdout.npz")
    assert holdout.ids[0] not in ended.err


def test_sets_of_different_shapes(site: Path) -> None:
    path = site / "data" / "holdout.npz"
    cases = CaseSet.load(path)
    CaseSet(cases.volumes[..., :-1], cases.labels, cases.ids).save(path)

    assert_explained(call("site", "check", site), 5, "train.npz (", "holdout.npz (", str(site))


def test_a_damaged_set_of_cases(site: Path) -> None:
    path = site / "data" / "train.npz"
    path.write_bytes(path.read_bytes()[:-100])

    assert_explained(call("site", "check", site), 5, "train.npz")


# --- campaigns ---


def test_driving_a_campaign_without_a_prefect_server(consortium: SimulatedConsortium) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    coordinator = consortium.consortium.coordinator
    url = f"http://127.0.0.1:{port}/api"

    ended = start("campaign", "run", coordinator, 1, PREFECT_API_URL=url)

    assert_explained(ended, 15, str(port), "PREFECT_API_URL")


def test_driving_a_campaign_that_is_not_on_the_ledger(consortium: SimulatedConsortium) -> None:
    ended = call("campaign", "run", consortium.consortium.coordinator, 9)

    assert_explained(ended, 2, "campaign 9")


# --- devnet and up ---


def test_a_port_in_use_for_the_development_chain(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = call("devnet", "start", tmp_path / "runs" / "chain", "--port", port)

    assert_explained(ended, 3, str(port))
    assert list(tmp_path.iterdir()) == []


def test_a_development_chain_that_does_not_run(tmp_path: Path) -> None:
    assert call("devnet", "status", tmp_path).code == 11
    assert_explained(call("devnet", "stop", tmp_path), 2, f"{tmp_path} is no devnet's directory")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "devnet.log").touch()
    stopped = call("devnet", "stop", tmp_path)
    assert stopped.code == 0
    assert "No devnet answered" in stopped.out
    assert_explained(call("devnet", "stop", tmp_path / "nosuch"), 2, "nosuch")


def test_a_port_that_is_none(tmp_path: Path) -> None:
    for command in (("devnet", "start", tmp_path / "new"), ("up", "--directory", tmp_path / "new")):
        ended = call(*command, "--port", "99999")
        assert (ended.code, "--port" in ended.err) == (2, True)
    assert not (tmp_path / "new").exists()


def test_a_second_chain_in_one_directory(devnet: Devnet) -> None:
    assert_explained(call("devnet", "start", devnet.directory), 3, "devnet")


def test_a_port_in_use_for_the_prefect_server(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = call("up", "--sites", 2, "--directory", tmp_path / "up", "--port", port)

    assert_explained(ended, 3, str(port), "--port")
    assert Devnet(tmp_path / "up" / "devnet").status() is None


@pytest.mark.parametrize("option", ["--resume", "--run-id"])
def test_an_id_of_a_run_that_is_empty(tmp_path: Path, option: str) -> None:
    assert_explained(call("demo", "--runs", tmp_path, option, ""), 2, option, "empty")
    assert list(tmp_path.iterdir()) == []


def test_a_demo_with_a_store_of_an_unknown_kind(tmp_path: Path) -> None:
    ended = call("demo", "--runs", tmp_path, "--run-id", "one", "--store", "s3x://foo/bar")

    assert_explained(ended, 2, "s3x://")
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_a_directory_of_the_site_belongs(site: Path) -> None:
    shutil.rmtree(site / "approved")
    (site / "approved").write_text("in the way")

    assert_explained(call("campaign", "approve", site, 1), 3, str(site / "approved"))


def test_a_schedule_that_is_none(tmp_path: Path) -> None:
    ended = call("up", "--sites", 2, "--directory", tmp_path / "up", "--cron", "at noon")

    assert_explained(ended, 2, "at noon")


def test_acting_for_a_site_that_is_none(tmp_path: Path) -> None:
    assert_explained(call("site", "act", tmp_path / "site"), 3, "site init")
    assert list(tmp_path.iterdir()) == []


def test_nothing_that_a_command_says_holds_a_secret(site: Path) -> None:
    secrets = [(site / "passphrase").read_text(), Site(site).keys.private_key.hex()]

    said = call("site", "check", site).out + call("campaign", "review", site, 1).out

    for secret in secrets:
        assert secret not in said
