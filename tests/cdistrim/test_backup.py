"""Rules of a site's backup: it has what can't be made again and nothing else; nobody alters it."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdistrim import backup
from cdistrim.backup import MAX_BACKUP, back_up, open_backup, restore
from cdistrim.data.assignment import ASSIGNMENT_FILE
from cdistrim.data.case_names import CASE_SECRET_FILE
from cdistrim.data.commitment import (
    COMMITMENTS,
    SALT_FILE,
    commit_cases,
    kept_roots,
    load_salts,
)
from cdistrim.data.preparation import prepare
from cdistrim.envelope import Context, canonical_json, new_data_key
from cdistrim.errors import (
    CDistriMError,
    ConfigurationError,
    IntegrityError,
    KeyFileError,
    UsageError,
)
from cdistrim.files import appear
from cdistrim.sealing import Purpose, open_sealed, seal
from cdistrim.site import Site, SiteSettings, write_atomically
from cdistrim.site_keys import KEY_FILES, create_site_keys
from tests.factories import make_site_data

SECRET = "correct horse battery"  # noqa: S105  (of throwaway keys)
TOKEN = "token-in-an-address"  # noqa: S105
KEPT = (CASE_SECRET_FILE, ASSIGNMENT_FILE)
SPECS = (bytes(range(32)), b"\xee" * 32)


@pytest.fixture(autouse=True)
def passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's, in the environment."""
    monkeypatch.setenv("CDISTRIM_PASSPHRASE", SECRET)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site that has been at work."""
    directory = tmp_path_factory.mktemp("made") / "site"
    create_site_keys(directory / "keys", SECRET, quick=True)
    settings = SiteSettings(
        name="hospital-1",
        ledger_url=f"https://node.example/{TOKEN}",
        chain_id=31337,
        contract="0x" + "Ab" * 20,
        store_url="file:///srv/store",
        passphrase_file=None,
        confirmations="finalized",
        first_block=7,
    )
    site = Site.create(directory, settings)
    data = make_site_data(seed=1)
    data.save(directory / "data")
    commit_cases(data.train, directory / "data")
    for spec in SPECS:
        site.approve_spec(spec)
    for part in ("memory/scores", "work/request-1-1-0.key", "log/site.log", "passphrase.old"):
        (directory / part).write_text(f"never in a backup: {part}")
    return directory


@pytest.fixture
def site(made: Path, tmp_path: Path) -> Site:
    """A copy that a test may change."""
    return Site(Path(shutil.copytree(made, tmp_path / "site")))


@pytest.fixture
def file(site: Site, tmp_path: Path) -> Path:
    """A backup of the site."""
    back_up(site, tmp_path / "backup")
    return tmp_path / "backup"


def _tree(directory: Path) -> dict[str, bytes | None]:
    """All that lies below, with content."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
        for path in directory.rglob("*")
    }


def _expected(site: Site) -> dict[str, bytes | None]:
    """What a restore has to make."""
    kept = ["site.json", "data/salts.json", *(f"keys/{name}" for name in KEY_FILES)]
    kept += [f"data/{COMMITMENTS}/{root.hex()}" for root in kept_roots(site.directory / "data")]
    assert kept[-1].startswith(f"data/{COMMITMENTS}/")
    files = {name: (site.directory / name).read_bytes() for name in kept}
    approvals = {f"approved/{spec.hex()}": b"" for spec in SPECS}
    parts = ("keys", "data", "memory", "approved", "refused", "work", "log", f"data/{COMMITMENTS}")
    return files | approvals | dict.fromkeys(parts)


class TestRoundTrip:
    def test_a_restored_site_is_the_one_that_was_lost(
        self, site: Site, file: Path, tmp_path: Path
    ) -> None:
        expected, account = _expected(site), site.account
        public = site.keys.sealing_key.public_bytes
        shutil.rmtree(site.directory)
        restore(file, tmp_path / "new")
        again = Site(tmp_path / "new")
        assert _tree(again.directory) == expected
        assert (again.account, again.settings) == (account, site.settings)
        assert again.keys.sealing_key.public_bytes == public

    def test_what_was_sealed_to_the_lost_site_opens_at_the_restored_one(
        self, site: Site, file: Path, tmp_path: Path
    ) -> None:
        model = Context(31337, "0x" + "ab" * 20, 1, 1, 0, site.account)
        secret = new_data_key().reveal()
        public = site.keys.sealing_key.public_bytes
        sealed = seal(secret, public, model, Purpose.CAPSULE, site.account)
        one_time = site.keys.protect_one_time_key(site.keys.sealing_key)
        shutil.rmtree(site.directory)
        restore(file, tmp_path / "new")
        keys = Site(tmp_path / "new").keys
        opened = open_sealed(sealed, keys.sealing_key, model, Purpose.CAPSULE, keys.account)
        assert opened == secret
        keys.open_one_time_key(one_time)

    def test_the_restored_salts_give_the_commitment_of_the_enrolment(
        self, site: Site, file: Path, tmp_path: Path
    ) -> None:
        enrolled = commit_cases(site.data.train, site.directory / "data")
        new = tmp_path / "new"
        site.data.save(new / "data")
        restore(file, new)
        assert commit_cases(Site(new).data.train, new / "data") == enrolled

    def test_only_the_owner_can_read_what_was_written(self, file: Path, tmp_path: Path) -> None:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        (tmp_path / "new" / "data").mkdir(parents=True, mode=0o755)
        (tmp_path / "new" / "keys").mkdir(mode=0o755)
        restore(file, tmp_path / "new")
        for path in (tmp_path / "new", *(tmp_path / "new").rglob("*")):
            expected = 0o700 if path.is_dir() else 0o600
            assert stat.S_IMODE(path.stat().st_mode) == expected, path

    def test_a_volume_of_cases_that_is_linked_to_keeps_its_mode(
        self, file: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "new").mkdir()
        (tmp_path / "volume").mkdir(mode=0o750)
        (tmp_path / "new" / "data").symlink_to(tmp_path / "volume")
        restore(file, tmp_path / "new")
        assert stat.S_IMODE((tmp_path / "volume").stat().st_mode) == 0o750
        assert (tmp_path / "volume" / SALT_FILE).exists()

    def test_a_site_that_never_enrolled_or_approved_is_kept_as_it_is(
        self, site: Site, tmp_path: Path
    ) -> None:
        (site.directory / "data" / SALT_FILE).unlink()
        shutil.rmtree(site.directory / "approved")
        kept = back_up(site, tmp_path / "early")
        assert (kept.approved, kept.salts) == (0, 0)
        restore(tmp_path / "early", tmp_path / "new")
        assert not (tmp_path / "new" / "data" / SALT_FILE).exists()
        assert Site(tmp_path / "new").account == site.account

    def test_another_source_of_the_passphrase_does_as_well(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("CDISTRIM_PASSPHRASE")
        with pytest.raises(KeyFileError, match="No passphrase"):
            restore(file, tmp_path / "new")
        assert not (tmp_path / "new").exists()
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "passphrase").write_text(SECRET)
        (tmp_path / "new" / "passphrase").chmod(0o600)
        restore(file, tmp_path / "new")


class TestContents:
    def test_nothing_else_is_kept(self, site: Site, file: Path) -> None:
        document = json.loads(file.read_bytes())
        assert set(document) == {"kind", "version", "made", "account", "keys", "sealed"}
        assert set(document["keys"]) == set(KEY_FILES)
        kept = open_backup(file.read_bytes(), SECRET)
        assert set(kept.contents.model_dump()) == {
            "settings", "approved", "salts", "commitments", "case_secret", "assignment",
        }  # fmt: skip
        # Its parts take all of its size but some hundred bytes: no room for cases.
        salts = (site.directory / "data" / SALT_FILE).stat().st_size
        salts += sum(67 * len(leaves) for leaves in kept.contents.commitments.values())
        keys = sum(len(content) for content in kept.keys.values())
        assert file.stat().st_size < 4 / 3 * salts + keys + 2500

    def test_whoever_finds_it_reads_no_case_no_address_and_no_secret(
        self, site: Site, file: Path
    ) -> None:
        content = file.read_bytes()
        texts = [content, *(base64.b64decode(json.loads(content)["sealed"]),)]
        hidden = [TOKEN, SECRET, "srv/store", *site.data.train.ids, *(one.hex() for one in SPECS)]
        salts = load_salts(site.directory / "data" / SALT_FILE, ())
        raw = [*(word.encode() for word in hidden), *salts.values(), site.keys.private_key]
        raw += [salt.hex().encode() for salt in salts.values()]
        assert not [one for one in raw for text in texts if one in text]

    def test_no_message_and_no_repr_tells_what_is_in_it(self, file: Path) -> None:
        kept = open_backup(file.read_bytes(), SECRET)
        assert "train" not in f"{kept} {kept!r}"
        assert TOKEN not in f"{kept} {kept!r}"

    def test_two_backups_of_one_site_have_no_sealed_part_in_common(
        self, site: Site, file: Path, tmp_path: Path
    ) -> None:
        back_up(site, tmp_path / "second")
        sealed = [json.loads(path.read_bytes())["sealed"] for path in (file, tmp_path / "second")]
        assert sealed[0][:40] != sealed[1][:40]


class TestNamesOfCases:
    """What `cdistrim data prepare` can't make again."""

    @pytest.fixture
    def prepared(self, site: Site) -> Site:
        for name in ("train.npz", "holdout.npz"):
            (site.directory / "data" / name).unlink()
        settings = site.settings.model_dump(mode="json") | {
            "data": {"source": "iris", "calibration": 0.2}
        }
        site = Site.create(site.directory, SiteSettings.model_validate_json(json.dumps(settings)))
        prepare(site)
        return site

    def test_a_restored_site_names_and_deals_out_its_cases_as_before(
        self, prepared: Site, tmp_path: Path
    ) -> None:
        before = {name: (prepared.directory / "data" / name).read_bytes() for name in KEPT}
        train = prepared.data.train.digest()
        assert b"calibration" in before["assignment.json"]
        back_up(prepared, tmp_path / "backup")
        assert b"train" not in (tmp_path / "backup").read_bytes()
        restore(tmp_path / "backup", tmp_path / "new")
        new = Site(tmp_path / "new")
        for name, content in before.items():
            path = new.directory / "data" / name
            assert path.read_bytes() == content
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        prepare(new)
        assert new.data.train.digest() == train

    @pytest.mark.parametrize("name", ["case-names.key", "assignment.json"])
    def test_another_ones_names_or_sets_are_not_overwritten(
        self, prepared: Site, tmp_path: Path, name: str
    ) -> None:
        back_up(prepared, tmp_path / "backup")
        other = tmp_path / "new" / "data" / name
        other.parent.mkdir(parents=True)
        write_atomically(other, b"00" * 32 if name.endswith("key") else b'{"a": "train"}')
        content = other.read_bytes()
        with pytest.raises(KeyFileError, match=name):
            restore(tmp_path / "backup", tmp_path / "new")
        assert other.read_bytes() == content

    def test_a_damaged_secret_is_no_backup(self, prepared: Site, tmp_path: Path) -> None:
        (prepared.directory / "data" / "case-names.key").write_text("junk")
        with pytest.raises(KeyFileError, match="damaged"):
            back_up(prepared, tmp_path / "backup")
        assert not (tmp_path / "backup").exists()


class TestMakingOne:
    @pytest.mark.parametrize("kind", ["file", "directory", "dead link"])
    def test_nothing_is_overwritten(self, site: Site, tmp_path: Path, kind: str) -> None:
        target = tmp_path / "taken"
        if kind == "file":
            target.write_text("precious")
        elif kind == "directory":
            target.mkdir()
        else:
            target.symlink_to(tmp_path / "nowhere")
        before = _tree(tmp_path)
        with pytest.raises(UsageError, match="exists already"):
            back_up(site, target)
        assert _tree(tmp_path) == before
        assert not (tmp_path / "nowhere").exists()

    def test_one_that_appears_meanwhile_is_not_overwritten_either(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def late(part: Path, file: Path) -> None:
            file.write_text("precious")
            appear(part, file)

        monkeypatch.setattr("cdistrim.files.appear", late)
        with pytest.raises(UsageError, match="exists already"):
            back_up(site, tmp_path / "backup")
        assert (tmp_path / "backup").read_text() == "precious"
        assert not list(tmp_path.glob(".backup*"))

    def test_a_file_system_without_second_names_will_do(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
        back_up(site, tmp_path / "backup")
        open_backup((tmp_path / "backup").read_bytes(), SECRET)
        assert not list(tmp_path.glob(".backup*"))

    def test_a_place_that_is_not_there_is_not_made(self, site: Site, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="No such file"):
            back_up(site, tmp_path / "stick" / "backup")
        assert not (tmp_path / "stick").exists()

    @pytest.mark.parametrize("name", KEY_FILES)
    def test_keys_that_do_not_open_are_not_kept(
        self, site: Site, tmp_path: Path, name: str
    ) -> None:
        path = site.directory / "keys" / name
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(KeyFileError, match=name):
            back_up(site, tmp_path / "backup")
        assert not (tmp_path / "backup").exists()

    def test_without_the_passphrase_nothing_is_kept(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CDISTRIM_PASSPHRASE", "wrong horse battery")
        with pytest.raises(KeyFileError, match="passphrase is wrong"):
            back_up(site, tmp_path / "backup")
        assert not (tmp_path / "backup").exists()

    def test_a_key_file_that_would_be_left_out_is_named(self, site: Site, tmp_path: Path) -> None:
        (site.directory / "keys" / "sealing.key.old").write_text("of a later release")
        with pytest.raises(KeyFileError, match=r"sealing\.key\.old"):
            back_up(site, tmp_path / "backup")
        assert not (tmp_path / "backup").exists()

    @pytest.mark.parametrize("content", ["{", '{"case": 1}', '{"case": "00"}'])
    def test_damaged_salts_are_named_before_they_are_needed(
        self, site: Site, tmp_path: Path, content: str
    ) -> None:
        (site.directory / "data" / SALT_FILE).write_text(content)
        with pytest.raises(KeyFileError, match="salt file") as caught:
            back_up(site, tmp_path / "backup")
        assert "case" not in str(caught.value)

    def test_a_site_whose_backup_would_be_too_large_is_told_so(
        self, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(backup, "MAX_BACKUP", 1000)
        with pytest.raises(ConfigurationError, match="1000 are possible"):
            back_up(site, tmp_path / "backup")


class TestRestoring:
    def test_keys_that_are_there_are_never_touched(
        self, site: Site, file: Path, tmp_path: Path
    ) -> None:
        create_site_keys(tmp_path / "other" / "keys", SECRET, quick=True)
        for directory in (site.directory, tmp_path / "other"):
            before = _tree(directory)
            with pytest.raises(KeyFileError, match="already"):
                restore(file, directory)
            assert _tree(directory) == before

    @pytest.mark.parametrize("kind", ["one file only", "a file", "a dead link"])
    def test_whatever_lies_where_keys_belong_stays(
        self, file: Path, tmp_path: Path, kind: str
    ) -> None:
        new = tmp_path / "new"
        new.mkdir()
        if kind == "one file only":
            (new / "keys").mkdir()
            (new / "keys" / "sealing.key").write_text("half of a site")
        elif kind == "a file":
            (new / "keys").write_text("notes")
        else:
            (new / "keys").symlink_to(tmp_path / "elsewhere")
        before = _tree(new)
        with pytest.raises(KeyFileError, match="already"):
            restore(file, new)
        assert _tree(new) == before

    def test_a_wrong_passphrase_restores_nothing_and_tells_nothing(
        self, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CDISTRIM_PASSPHRASE", "wrong horse battery")
        with pytest.raises(KeyFileError, match="passphrase is wrong") as caught:
            restore(file, tmp_path / "new")
        assert str(file) in str(caught.value)
        assert "horse" not in str(caught.value)
        assert not (tmp_path / "new").exists()

    def test_other_settings_or_salts_stay_and_nothing_is_restored(
        self, site: Site, file: Path, tmp_path: Path
    ) -> None:
        new = tmp_path / "new"
        Site.create(new, site.settings.model_copy(update={"name": "hospital-2"}))
        before = _tree(new)
        with pytest.raises(ConfigurationError, match=r"site\.json"):
            restore(file, new)
        assert _tree(new) == before
        Site.create(new, site.settings)
        load_salts(new / "data" / SALT_FILE, ["another case"])
        before = _tree(new)
        with pytest.raises(KeyFileError, match="other salts"):
            restore(file, new)
        assert _tree(new) == before

    def test_what_is_there_and_the_same_is_no_obstacle(
        self, site: Site, file: Path, tmp_path: Path
    ) -> None:
        expected = _expected(site)
        shutil.copytree(site.directory, tmp_path / "new")
        shutil.rmtree(tmp_path / "new" / "keys")
        restore(file, tmp_path / "new")
        assert expected.items() <= _tree(tmp_path / "new").items()
        assert (tmp_path / "new" / "log" / "site.log").exists()

    def test_keys_that_are_not_the_named_accounts_never_appear(
        self, site: Site, tmp_path: Path
    ) -> None:
        """Nobody without the passphrase can make such a backup; with it, it is of no use."""
        kept = back_up(site, tmp_path / "good")
        forged = backup.Kept(kept.made, "0x" + "11" * 20, kept.keys, kept.contents)
        (tmp_path / "forged").write_bytes(backup._document(forged, site.keys.sealing_key))
        with pytest.raises(KeyFileError, match="not of 0x1111"):
            restore(tmp_path / "forged", tmp_path / "new")
        assert not (tmp_path / "new" / "keys").exists() or not any(
            (tmp_path / "new" / "keys").iterdir()
        )


def _changed(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    def make(document: bytes) -> bytes:
        parsed = json.loads(document)
        change(parsed)
        return canonical_json(parsed)

    return make


def _account_of_another(parsed: dict[str, Any]) -> None:
    keystore = json.loads(parsed["keys"]["account.json"])
    parsed["keys"]["account.json"] = json.dumps(keystore | {"address": "00" * 20})


def _one_character_of_the_sealing_key(parsed: dict[str, Any]) -> None:
    document = json.loads(parsed["keys"]["sealing.key"])
    first = document["ciphertext"][0]
    document["ciphertext"] = ("B" if first == "A" else "A") + document["ciphertext"][1:]
    parsed["keys"]["sealing.key"] = json.dumps(document, indent=1)


_NO_KEY = {"sealing.key": "{}"}

HOSTILE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "truncated": lambda document: document[:-1],
    "text": lambda _: b"not a backup",
    "a list": lambda _: b"[]",
    "deep": lambda _: b"[" * 100_000,
    "not canonical": lambda document: document + b"\n",
    "a field twice": lambda document: document.replace(b'"version":1', b'"version":1,"version":1'),
    "another kind": _changed(lambda parsed: parsed.update(kind="capsule")),
    "a later version": _changed(lambda parsed: parsed.update(version=2)),
    "another day": _changed(lambda parsed: parsed.update(made="2026-01-01T00:00:00Z")),
    "another account": _changed(lambda parsed: parsed.update(account="0x" + "11" * 20)),
    "no account": _changed(lambda parsed: parsed.update(account="hospital-1")),
    "one field more": _changed(lambda parsed: parsed.update(passphrase=SECRET)),
    "a file more": _changed(lambda parsed: parsed["keys"].update({"../../x": "hello"})),
    "an absolute path": _changed(lambda parsed: parsed["keys"].update({"/tmp/x": "hello"})),  # noqa: S108
    "a file less": _changed(lambda parsed: parsed["keys"].pop("account.json")),
    "a large file": _changed(lambda parsed: parsed["keys"].update({"account.json": "0" * 70_000})),
    "an altered keystore": _changed(_account_of_another),
    "an altered sealing key": _changed(_one_character_of_the_sealing_key),
    "a sealing key that is none": _changed(lambda parsed: parsed["keys"].update(_NO_KEY)),
    "no seal": _changed(lambda parsed: parsed.update(sealed="")),
    "a short seal": _changed(lambda parsed: parsed.update(sealed="AAAA")),
    "another seal": _changed(lambda parsed: parsed.update(sealed="A" * len(parsed["sealed"]))),
    "no base64": _changed(lambda parsed: parsed.update(sealed="%%%%")),
    "half a character": _changed(lambda parsed: parsed.update(made="\ud800")),
}


class TestHostileFiles:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_an_altered_backup_is_refused_and_nothing_written(
        self, file: Path, tmp_path: Path, name: str
    ) -> None:
        altered = HOSTILE[name](file.read_bytes())
        assert altered != file.read_bytes()
        self._refused(altered, tmp_path)

    def _refused(self, content: bytes, tmp_path: Path) -> None:
        hostile, new = tmp_path / "hostile", tmp_path / "new"
        hostile.write_bytes(content)
        before = _tree(tmp_path)
        with pytest.raises(IntegrityError):
            restore(hostile, new)
        assert _tree(tmp_path) == before

    def test_another_sites_parts_do_not_fit(self, site: Site, file: Path, tmp_path: Path) -> None:
        create_site_keys(tmp_path / "other" / "keys", SECRET, quick=True)
        other = Site.create(tmp_path / "other", site.settings)
        back_up(other, tmp_path / "others")
        mine, others = (json.loads(path.read_bytes()) for path in (file, tmp_path / "others"))
        for field in ("keys", "sealed", "account"):
            self._refused(canonical_json(mine | {field: others[field]}), tmp_path)
        for name in KEY_FILES:
            keys = mine["keys"] | {name: others["keys"][name]}
            self._refused(canonical_json(mine | {"keys": keys}), tmp_path)

    @pytest.mark.parametrize(
        "changes",
        [
            {"approved": ["../../keys/sealing.key"]},
            {"approved": ["/etc/passwd"]},
            {"approved": ["A" * 64]},
            {"salts": {"case": "00"}},
            {"settings": {"name": "../x"}},
            {"more": 1},
        ],
        ids=lambda changes: str(changes)[:30],
    )
    def test_names_that_lead_elsewhere_are_refused_under_the_right_seal_too(
        self, site: Site, file: Path, tmp_path: Path, changes: dict[str, object]
    ) -> None:
        kept = open_backup(file.read_bytes(), SECRET)

        class Forged:
            def model_dump(self, **_: object) -> dict[str, object]:
                return kept.contents.model_dump(mode="json") | changes

        forged = backup.Kept(kept.made, kept.account, kept.keys, Forged())  # type: ignore[arg-type]
        self._refused(backup._document(forged, site.keys.sealing_key), tmp_path)

    @pytest.mark.parametrize("kind", ["absolute", "upwards", "link", "device", "plain"])
    def test_an_archive_of_files_is_no_backup_whatever_is_in_it(
        self, tmp_path: Path, kind: str
    ) -> None:
        member = tarfile.TarInfo({"absolute": "/tmp/x", "upwards": "../../x"}.get(kind, "keys/x"))  # noqa: S108
        if kind == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc"
        if kind == "device":
            member.type = tarfile.CHRTYPE
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.addfile(member)
        self._refused(stream.getvalue(), tmp_path)

    def test_a_file_that_never_ends_is_not_read_to_its_end(self, tmp_path: Path) -> None:
        large = tmp_path / "large"
        with large.open("wb") as stream:
            stream.truncate(100 * MAX_BACKUP)
        with pytest.raises(IntegrityError, match="more than"):
            restore(large, tmp_path / "new")
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize("kind", ["missing", "directory", "pipe", "device"])
    def test_what_is_no_file_is_not_read(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "it"
        if kind == "directory":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "device":
            path = Path("/dev/zero")
        with pytest.raises(UsageError):
            restore(path, tmp_path / "new")
        assert not (tmp_path / "new").exists()


class TestKilled:
    """By SIGKILL before each change of the file system, in a process of its own."""

    def _run(self, what: str, source: Path, root: Path) -> int:
        root.mkdir()
        ended = subprocess.run(
            [sys.executable, "-m", "tests.killed_backup", what, str(source), str(root)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return int(ended.stdout)

    def test_a_backup_is_there_as_a_whole_or_not_at_all(self, site: Site, tmp_path: Path) -> None:
        root = tmp_path / "killed"
        runs = self._run("backup", site.directory, root)
        assert runs >= 3
        for number in range(1, runs + 1):
            target = root / str(number)
            if target.exists():
                assert open_backup(target.read_bytes(), SECRET).name == "hospital-1"
                assert number >= runs - 1
            else:
                back_up(site, target)
        for left in root.glob(".*.part"):
            assert stat.S_IMODE(left.stat().st_mode) == 0o600

    def test_a_restore_has_keys_at_its_end_only_and_is_finished_by_another(
        self, site: Site, file: Path, tmp_path: Path
    ) -> None:
        expected, root = _expected(site), tmp_path / "killed"
        runs = self._run("restore", file, root)
        assert runs > 12
        for number in range(1, runs + 1):
            target = root / str(number)
            keys = target / "keys"
            if keys.exists() and any(keys.iterdir()):
                assert number >= runs - 1, "the keys came before the end"
            else:
                restore(file, target)
            found = _tree(target)
            # Pieces of files that were killed half way stay beside them, and are never read.
            assert {name: found[name] for name in found if ".part" not in name} == expected
            assert not list(target.glob(".keys*"))


def test_any_error_is_one_of_ours(file: Path, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("a file in the way")
    with pytest.raises(CDistriMError):
        restore(file, tmp_path / "new")
