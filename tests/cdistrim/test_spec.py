from __future__ import annotations

import json

import pytest

from cdistrim.errors import ConfigurationError, SpecMismatchError
from cdistrim.handwritten import MAX_FILE
from cdistrim.spec import MAX_SLOTS, CampaignSpec, GenesisSpec

SPEC = CampaignSpec(
    name="lung",
    task="survival",
    order=("a", "b"),
    genesis=GenesisSpec(weights_hash="0" * 64),
)


def document(**changes: object) -> bytes:
    return json.dumps(SPEC.model_dump(mode="json") | changes).encode()


def test_the_digest_does_not_depend_on_how_the_document_is_written() -> None:
    fields = json.loads(SPEC.canonical())
    turned = json.dumps(dict(reversed(fields.items())), indent=4).encode()
    assert CampaignSpec.parse(turned, expected=SPEC.digest()) == SPEC


@pytest.mark.parametrize(
    "changes",
    [
        {"cycles": 2},
        {"order": ["b", "a"]},
        {"training": {"seed": 1}},
        {"voting": {"alpha": 0.2}},
        {"deadlines": {"training": 60}},
        {"genesis": {"weights_hash": "1" * 64}},
    ],
)
def test_whatever_changes_a_campaign_changes_its_digest(changes: dict[str, object]) -> None:
    with pytest.raises(SpecMismatchError, match=SPEC.digest().hex()):
        CampaignSpec.parse(document(**changes), expected=SPEC.digest())


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"order": ["a", "a"]}, "twice"),
        ({"order": ["a"]}, "2 to 50"),
        ({"order": ["a", "B"]}, "order.1"),
        ({"cycles": 0}, "cycles"),
        ({"learning_rate": 1}, "learning_rate: .* nearest is training.learning_rate"),
        ({"voting": {"margn": 0.1}}, "voting.margn: .* nearest is voting.margin"),
        ({"training": {"learning_rate": "NaN"}}, "training.learning_rate"),
        ({"model": {"width": 2}}, "model.width"),
        ({"voting": {"alpha": 0.5}}, "voting.alpha"),
        ({"genesis": {"weights_hash": "0x00"}}, "genesis.weights_hash"),
        ({"features": []}, "features"),
        ({"features": [{"name": "age", "scale": 0}]}, "features.0.scale"),
        ({"features": [{"name": "age"}]}, r"model.shape is .*\(1, 1, 1\)"),
        ({"features": [{"name": "age"}, {"name": "age"}]}, "twice"),
        ({"features": [{"name": "age"}], "preprocessing": {}}, "for scans"),
    ],
)
def test_an_invalid_spec_is_refused_with_the_place(changes: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigurationError, match=where):
        CampaignSpec.parse(document(**changes))


@pytest.mark.parametrize(
    "content", [b"\xff{", b"{", b"", b"[]", b"1", b'{"name": }', b"\xef\xbb\xbf{}"]
)
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigurationError, match="the document"):
        CampaignSpec.parse(content)


WHOLE = (
    "version",
    "cycles",
    "genesis.seed",
    "model.width",
    "training.epochs",
    "training.threads",
    "voting.quorum",
    "voting.min_cases_per_class",
    "deadlines.training",
)
REAL = ("training.learning_rate", "training.weight_decay", "voting.margin", "voting.auc_floor")


def with_value(place: str, value: str) -> bytes:
    """The spec with a value, as it is written, at this place."""
    fields = SPEC.model_dump(mode="json")
    part = fields
    *parts, last = place.split(".")
    for name in parts:
        part = part[name]
    part[last] = "HERE"
    return json.dumps(fields).replace('"HERE"', value).encode()


@pytest.mark.parametrize("place", WHOLE)
@pytest.mark.parametrize("value", ["true", '"2"', "2.0", "1.0", "1e0", "[1]"])
def test_only_a_whole_number_is_one(place: str, value: str) -> None:
    assert json.loads(with_value(place, value))
    with pytest.raises(ConfigurationError, match=f"at {place}: .* whole number") as caught:
        CampaignSpec.parse(with_value(place, value))
    if value != "[1]":
        assert f"it is {json.dumps(json.loads(value))}." in caught.value.what


@pytest.mark.parametrize("place", REAL)
@pytest.mark.parametrize("value", ["true", '"1"', "null"])
def test_neither_text_nor_truth_is_a_number(place: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"at {place}: .* a number.*it is {value}"):
        CampaignSpec.parse(with_value(place, value))


@pytest.mark.parametrize("place", REAL)
def test_a_number_without_a_point_is_the_same_number(place: str) -> None:
    written, meant = (CampaignSpec.parse(with_value(place, value)) for value in ("1", "1.0"))
    assert written.digest() == meant.digest()


def test_of_a_range_the_least_comes_first() -> None:
    place = "training.balance.zoom"
    with pytest.raises(ConfigurationError, match=r"zoom is 1.2 to 0.8; the least factor comes"):
        CampaignSpec.parse(with_value(place, "[1.2, 0.8]"))
    same = CampaignSpec.parse(with_value(place, "[0.8, 0.8]"))
    assert same.training.balance.zoom == (0.8, 0.8)


@pytest.mark.parametrize("value", ["1", "0", '"true"', "null"])
def test_only_true_and_false_are_truth_values(value: str) -> None:
    place = "training.balance.zoom_copies"
    with pytest.raises(ConfigurationError, match=f"at {place}: .* true or false"):
        CampaignSpec.parse(with_value(place, value))


@pytest.mark.parametrize(
    ("what", "twice"),
    [
        ('"cycles": 1', '"cycles": 1, "cycles": 1'),
        ('"cycles": 1', '"cycles": 3, "cycles": 1'),
        ('"alpha": 0.1', '"alpha": 0.2, "alpha": 0.1'),
        ('"alpha": 0.1', '"\\u0061lpha": 0.2, "alpha": 0.1'),
    ],
)
def test_a_key_that_is_there_twice_is_refused(what: str, twice: str) -> None:
    content = document().replace(what.encode(), twice.encode())
    assert content != document()
    with pytest.raises(ConfigurationError, match=what.partition(":")[0] + " is there twice"):
        CampaignSpec.parse(content)


def test_a_spec_that_is_too_large_is_refused() -> None:
    assert CampaignSpec.parse(document().ljust(MAX_FILE)) == SPEC
    with pytest.raises(ConfigurationError, match=f"more than {MAX_FILE} bytes"):
        CampaignSpec.parse(document().ljust(MAX_FILE + 1))


def test_a_quorum_of_more_than_all_partners_is_refused() -> None:
    assert CampaignSpec.parse(document(voting={"quorum": 2})).voting.quorum == 2
    with pytest.raises(
        ConfigurationError, match=r"quorum is 3, but order names 2 partners; ask for at most 2"
    ):
        CampaignSpec.parse(document(voting={"quorum": 3}))


def test_more_slots_than_the_contract_takes_are_refused() -> None:
    order = [f"hospital-{number}" for number in range(50)]
    assert CampaignSpec.parse(document(order=order, cycles=40)).slots == MAX_SLOTS
    with pytest.raises(ConfigurationError, match=r"2050 slots; 2000 are possible.* 40 cycles"):
        CampaignSpec.parse(document(order=order, cycles=41))
