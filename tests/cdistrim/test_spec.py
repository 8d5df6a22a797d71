from __future__ import annotations

import json

import pytest

from cdistrim.errors import ConfigurationError, SpecMismatchError
from cdistrim.spec import CampaignSpec, GenesisSpec

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
        {"voting": {"alpha": 0.1}},
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
    ],
)
def test_an_invalid_spec_is_refused_with_the_place(changes: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigurationError, match=where):
        CampaignSpec.parse(document(**changes))


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="the document"):
        CampaignSpec.parse(b"\xff{")
