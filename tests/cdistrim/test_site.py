from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path

import pytest

from cdistrim.errors import ConfigurationError
from cdistrim.ledger.interface import Confirmations
from cdistrim.site import (
    SITE_VARIABLE,
    Site,
    SiteSettings,
    SpecAnswer,
    bound_site,
    remove_half_written,
    site_bound_to,
    write_atomically,
    writing_atomically,
)


def make(directory: Path, name: str) -> Site:
    settings = SiteSettings(
        name=name,
        ledger_url="http://127.0.0.1:1",
        chain_id=1,
        contract="0x" + "0" * 40,
        store_url="file:///srv/store",
    )
    return Site.create(directory / name, settings)


def test_a_process_that_is_bound_to_no_site_is_told_how_to_bind_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(SITE_VARIABLE, raising=False)
    with pytest.raises(ConfigurationError, match=SITE_VARIABLE):
        bound_site()


def test_a_context_is_bound_before_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        make(tmp_path, name)
    monkeypatch.setenv(SITE_VARIABLE, str(tmp_path / "one"))

    with site_bound_to(tmp_path / "two"):
        assert bound_site().name == "two"
    assert bound_site().name == "one"


def test_a_directory_without_settings_is_no_site(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"site\.json is missing"):
        Site(tmp_path)


@pytest.mark.parametrize(
    ("field", "document"),
    [
        ("name", '{"name": "../x"}'),
        ("the document", "not json"),
        ("secret", '{"secret": 1}'),
    ],
)
def test_invalid_settings_are_named(tmp_path: Path, field: str, document: str) -> None:
    (tmp_path / "site.json").write_text(document)
    with pytest.raises(ConfigurationError, match="invalid at") as caught:
        Site(tmp_path)
    assert field in caught.value.what or field == "secret"


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('"chain_id": -1', "chain_id.*; it is -1"),
        ('"chain_id": true', "chain_id.*; it is true"),
        ('"ledger_url": "ws://node/token-4711"', "ledger_url"),
    ],
)
def test_numbers_of_invalid_settings_are_told_and_no_texts(
    tmp_path: Path, setting: str, told: str
) -> None:
    make(tmp_path, "one")
    path = tmp_path / "one" / "site.json"
    name = setting.split('"')[1]
    rest = {key: value for key, value in json.loads(path.read_text()).items() if key != name}
    path.write_text(json.dumps(rest).replace("{", f"{{{setting}, ", 1))

    with pytest.raises(ConfigurationError, match=told) as caught:
        Site(tmp_path / "one")
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("passphrase_fil", "passphrase_file"),
        ("storeurl", "store_url"),
        ("firstBlock", "first_block"),
    ],
)
def test_a_setting_that_does_not_exist_is_refused_and_the_nearest_named(
    tmp_path: Path, written: str, meant: str
) -> None:
    site = make(tmp_path, "one")
    document = json.loads((site.directory / "site.json").read_bytes())
    document[written] = document.pop(meant)
    (site.directory / "site.json").write_text(json.dumps(document))
    with pytest.raises(
        ConfigurationError, match=f"at {written}: there is no such setting; the nearest is {meant}"
    ):
        Site(site.directory)


def test_where_no_setting_is_near_none_is_named(tmp_path: Path) -> None:
    site = make(tmp_path, "one")
    document = json.loads((site.directory / "site.json").read_bytes()) | {"x": 1}
    (site.directory / "site.json").write_text(json.dumps(document))
    with pytest.raises(ConfigurationError, match=r"at x: there is no such setting\. Correct"):
        Site(site.directory)


@pytest.mark.parametrize("confirmations", [0, 12, "finalized"])
def test_a_block_counts_after_a_number_of_others_or_when_final(
    tmp_path: Path, confirmations: Confirmations
) -> None:
    site = make(tmp_path, "one")
    settings = site.settings.model_copy(update={"confirmations": confirmations})
    again = Site.create(tmp_path / "one", settings)
    assert again.settings.confirmations == confirmations


@pytest.mark.parametrize("confirmations", [-1, 1001, "safe", "latest", None, 1.5, True, "2"])
def test_other_confirmations_are_invalid(tmp_path: Path, confirmations: object) -> None:
    site = make(tmp_path, "one")
    document = json.loads((site.directory / "site.json").read_bytes())
    document["confirmations"] = confirmations
    (site.directory / "site.json").write_text(json.dumps(document))
    with pytest.raises(
        ConfigurationError, match=r"at confirmations: .* from 0 to 1000, or \"finalized\""
    ):
        Site(site.directory)


@pytest.mark.parametrize("fee", [-1, 1e300, "much", "5", True, None, float("inf"), float("nan")])
def test_a_highest_fee_that_is_none_is_invalid(tmp_path: Path, fee: object) -> None:
    site = make(tmp_path, "one")
    document = json.loads((site.directory / "site.json").read_bytes())
    assert document["max_fee_gwei"] == 500
    document["max_fee_gwei"] = fee
    (site.directory / "site.json").write_text(json.dumps(document))
    with pytest.raises(ConfigurationError, match=r"invalid at"):
        Site(site.directory)


@pytest.mark.parametrize("seconds", [-1, 24 * 3600 + 1, "60", True, None, float("nan")])
def test_an_interval_of_checkpoints_that_is_none_is_invalid(
    tmp_path: Path, seconds: object
) -> None:
    site = make(tmp_path, "one")
    document = json.loads((site.directory / "site.json").read_bytes())
    assert document["checkpoint_seconds"] == 60
    document["checkpoint_seconds"] = seconds
    (site.directory / "site.json").write_text(json.dumps(document))
    with pytest.raises(ConfigurationError, match=r"invalid at"):
        Site(site.directory)


def test_the_sites_directories_are_closed_to_others(tmp_path: Path) -> None:
    site = make(tmp_path, "one")
    for part in ("keys", "data", "work", "log"):
        assert (site.directory / part).stat().st_mode & 0o077 == 0


def test_an_approval_is_for_one_spec_and_can_be_withdrawn(tmp_path: Path) -> None:
    site = make(tmp_path, "one")
    site.approve_spec(b"a" * 32)

    assert site.has_approved(b"a" * 32)
    assert not site.has_approved(b"b" * 32)
    site.refuse_spec(b"a" * 32)
    assert not site.has_approved(b"a" * 32)
    assert site.answer_to(b"a" * 32) is SpecAnswer.REFUSED
    assert site.answer_to(b"b" * 32) is SpecAnswer.NONE
    site.approve_spec(b"a" * 32)
    assert site.answer_to(b"a" * 32) is SpecAnswer.APPROVED
    site.refuse_spec(b"a" * 32)


def test_the_sites_log_stays_at_the_site(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    site = make(tmp_path, "one")
    with caplog.at_level(logging.DEBUG):
        site.logger.error("the full text")

    assert "the full text" in (site.directory / "log" / "site.log").read_text()
    assert "the full text" not in caplog.text


def test_a_write_that_fails_leaves_the_old_file_and_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def full(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        write_atomically(path, b"new")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_halves_of_files_go_unless_somebody_is_writing_them(tmp_path: Path) -> None:
    write_atomically(tmp_path / "below" / "whole", b"x")
    left, new = tmp_path / ".left.abc.part", tmp_path / ".new.abc.part"
    for part in (left, new):
        part.write_bytes(b"ha")
    long_ago = time.time() - 60
    os.utime(left, (long_ago, long_ago))
    with writing_atomically(tmp_path / "below" / "file") as stream:
        stream.write(b"slowly")
        stream.flush()
        (live,) = (tmp_path / "below").glob(".file.*.part")
        os.utime(live, (long_ago, long_ago))

        remove_half_written(tmp_path)

        assert not left.exists()
        assert new.exists(), "its process may not have come to lock it"
    assert (tmp_path / "below" / "file").read_bytes() == b"slowly"
    assert (tmp_path / "below" / "whole").exists()


def test_what_is_written_is_the_owners_alone(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"x")
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600
