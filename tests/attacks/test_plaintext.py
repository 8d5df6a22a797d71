"""No plaintext of a model and no key lies anywhere, at any time: at sites, in store or database.

A campaign is run by the real flows on a real Prefect server. All files of all sites, the store and
the server's home are looked into between all steps, while models are in memory, too, and several
times a second; at the end everything is searched for what only then can be known.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from cdistrim import custody
from cdistrim.devnet import Devnet
from cdistrim.model import initial_weights
from cdistrim.opening import open_together
from cdistrim.protocol import CampaignState
from cdistrim.shares import recover
from cdistrim.site import Site
from cdistrim.weights import to_bytes
from tests.attacks.watchers import Watcher, spellings
from tests.prefect_server import PrefectServer
from tests.simulated import MODEL, SimulatedConsortium

pytestmark = pytest.mark.slow

_WINDOW = 64
"""Bytes of a model in a row: sixteen numbers."""
_PLANTED = b"planted while a batch was trained, and gone after it"


class _Planting(Watcher):
    """Puts a file somewhere for the time of one look, in the middle of training."""

    def __init__(self, *tops: Path, at: Path) -> None:
        super().__init__(*tops)
        self._at = at
        self.batches = 0

    def training(self, slot: int, *state: object) -> None:
        self.batches += 1
        if self.batches == 1:
            self._at.write_bytes(_PLANTED)
        super().training(slot, *state)
        self._at.unlink(missing_ok=True)


@dataclass(frozen=True)
class Watched:
    """A campaign that is over, and whoever watched it."""

    simulated: SimulatedConsortium
    server: PrefectServer
    watcher: _Planting
    sites: tuple[Site, ...]


@pytest.fixture(scope="module")
def watched(
    devnet: Devnet, prefect_process: PrefectServer, tmp_path_factory: pytest.TempPathFactory
) -> Watched:
    """Three hospitals after one cycle; planted into at the end of the tests only."""
    simulated = SimulatedConsortium(tmp_path_factory.mktemp("watched"), devnet.url)
    simulated.found()
    sites = tuple(simulated.site(name) for name in simulated.names)
    tops = (*(site.directory for site in sites), simulated.consortium.store)
    watcher = _Planting(*tops, prefect_process.home, at=sites[0].work / "planted.part")
    with watcher.watching(), prefect_process.used_here():
        view = simulated.run()
    assert view.state is CampaignState.COMPLETED
    assert view.accepted == 3
    return Watched(simulated, prefect_process, watcher, sites)


# --- what is looked for ---------------------------------------------------------------------------


def windows(watched: Watched) -> list[bytes]:
    """Runs of the weights of every accepted model, and of its safetensors header."""
    public = to_bytes(initial_weights(MODEL, 1))
    found = []
    for slot in (1, 2, 3):
        record = watched.sites[0].ledger.model(1, slot)
        weights = open_together(watched.sites, 1, record)
        plain = to_bytes(weights)
        found.append(plain[8 : 8 + 3 * _WINDOW])
        for value in weights.values():
            numbers = value.reshape(-1).numpy().tobytes()
            window = numbers[:_WINDOW]
            # Not what is in any model: zeros, ones, counters, and what genesis has already.
            if len(window) == _WINDOW and len(set(window)) > 24 and window not in public:
                assert window in plain
                found.append(window)
    return found


def keys(watched: Watched) -> dict[str, bytes]:
    """Secrets by what they are: of each at most 96 bytes."""
    found: dict[str, bytes] = {}
    for site in watched.sites:
        found[f"account key of {site.name}"] = site.keys.private_key
        found[f"sealing key of {site.name}"] = site.keys.sealing_key.private_bytes()
        for path, content in watched.watcher.contents(".key"):
            if path.parent == site.work:
                one_time = site.keys.open_one_time_key(content)
                found[f"one-time key {path.name} of {site.name}"] = one_time.private_bytes()
    for slot in (1, 2, 3):
        record = watched.sites[0].ledger.model(1, slot)
        (capsule,) = custody.capsules(watched.sites[0], 1, record)
        shares = [custody.own_share(site, 1, record, capsule) for site in watched.sites]
        found[f"data key of {record.name}"] = recover(shares, capsule.threshold).reveal()
        for share in shares:
            found[f"share {share.index} of {record.name}"] = share.value
            found[f"salt {share.index} of {record.name}"] = share.salt
    return found


# --- what is found --------------------------------------------------------------------------------


def test_the_watcher_looked_while_models_were_in_memory(watched: Watched) -> None:
    """The control of all that follow: what lay there for one batch of training was seen."""
    assert watched.watcher.batches > 10
    assert watched.watcher.looks > watched.watcher.batches
    assert {path.name for path in watched.watcher.where([_PLANTED])} == {"planted.part"}
    one_time = {path.name for path, _ in watched.watcher.contents(".key")}
    assert {f"request-1-{slot}-1.key" for slot in (1, 2, 3)} <= one_time
    assert any(name.startswith("evaluation-") for name in one_time)
    seen = watched.watcher.where([b"partner_iteration"])
    assert any(path.name.startswith("prefect.db") for path in seen)


def test_no_plaintext_of_a_model_lies_anywhere(watched: Watched) -> None:
    wanted = windows(watched)
    assert len(wanted) > 20
    needles = [text[:256] for window in wanted for text in (window, window.hex().encode())]
    assert watched.watcher.where(needles) == set()


def test_no_key_lies_anywhere(watched: Watched) -> None:
    secrets = keys(watched)
    kinds = ("account key", "sealing key", "one-time key", "data key", "share", "salt")
    assert all(any(name.startswith(kind) for name in secrets) for kind in kinds)
    found = {
        name: {str(path) for path in places}
        for name, secret in secrets.items()
        if (places := watched.watcher.where(spellings(secret)))
    }
    assert found == {}


def test_a_passphrase_lies_in_its_own_file_only(watched: Watched) -> None:
    for site in watched.sites:
        passphrase = (site.directory / "passphrase").read_bytes().strip()
        assert watched.watcher.where(spellings(passphrase)) == {site.directory / "passphrase"}


def test_no_secret_is_in_what_the_chain_keeps(watched: Watched, devnet: Devnet) -> None:
    devnet.flush()
    dump = json.loads((devnet.directory / "chain.json").read_bytes())
    kept = gzip.decompress(bytes.fromhex(dump["state"][2:]))
    public = watched.sites[0].keys.sealing_key.public_bytes
    assert public.hex().encode() in kept  # What the contract was told is there, in hexadecimal.
    for name, secret in keys(watched).items():
        assert not [text for text in spellings(secret) if text in kept], name


# --- that it would be found -----------------------------------------------------------------------


Planted = tuple[Path, Callable[[], None]]
"""Where it has to be found, and how it goes again."""


def in_a_log(watched: Watched, secret: bytes) -> Planted:
    """A line of text, as an error's message is."""
    path = watched.sites[0].directory / "log" / "planted.log"
    path.write_bytes(b"2026-01-01 ERROR no share " + secret.hex().encode() + b"\n")
    return path, path.unlink


def in_the_store(watched: Watched, secret: bytes) -> Planted:
    """Somewhere in the middle of a larger object."""
    path = watched.simulated.consortium.store / "planted"
    path.write_bytes(bytes(5000) + secret + bytes(5000))
    return path, path.unlink


def in_the_database(watched: Watched, secret: bytes) -> Planted:
    """By the server's API, as a parameter or a log line would come there."""
    client = httpx.Client(base_url=watched.server.api_url, timeout=30)
    document = {"name": f"planted_{secret[:4].hex()}", "value": spellings(secret)[3].decode()}
    client.post("/variables/", json=document).raise_for_status()
    return watched.server.home, client.close


@pytest.mark.parametrize("plant", [in_a_log, in_the_store, in_the_database])
def test_a_planted_secret_is_found(
    watched: Watched, plant: Callable[[Watched, bytes], Planted]
) -> None:
    tops = (watched.sites[0].directory, watched.simulated.consortium.store, watched.server.home)
    for secret in (keys(watched)["data key of hospital-1-1"], windows(watched)[5]):
        watcher = Watcher(*tops)
        place, undo = plant(watched, secret)
        try:
            watcher.look()
            found = watcher.where(spellings(secret))
            assert any(path.is_relative_to(place) for path in found)
        finally:
            undo()
