"""A site proves that one of its cases was in the training data behind a model.

It takes the case, its salt, and the leaves of the commitment; nothing is asked of anybody, and no
key is used. The proof is checked against the ledger's history before it is handed out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cdistrim.audit.checkpoint import kept_by
from cdistrim.audit.data_proof import (
    DataProof,
    Denied,
    PartInModel,
    campaign_of,
    examine,
    part_in,
)
from cdistrim.audit.verify import Source, audit
from cdistrim.data.commitment import (
    SALT_FILE,
    HiddenCase,
    Part,
    hide_case,
    hide_label,
    kept_leaves,
    leaves_of,
    load_salts,
    part_key,
)
from cdistrim.data.merkle import audit_path, merkle_root
from cdistrim.errors import ConfigurationError, DataError, IntegrityError, UsageError
from cdistrim.report.wording import plural

if TYPE_CHECKING:
    from cdistrim.audit.history import History
    from cdistrim.data.cases import CaseSet
    from cdistrim.site import Site

__all__ = ["Proved", "prove"]


@dataclass(frozen=True)
class Proved:
    """A proof, the part in the model that it shows, and how far the site's data are as they were.

    ``lost`` is how many of the cases that were committed to can't be proven with the cases that lie
    at the site now.
    """

    proof: DataProof
    part: PartInModel
    lost: int


def prove(
    site: Site, case: str, model: str, *, campaign: int | None = None, with_label: bool = False
) -> Proved:
    """Prove that a case was in the training data behind a model.

    Args:
        site: The site.
        case: The case's identifier, as in ``train.npz``.
        model: The model's name: partner and slot.
        campaign: Whose model it is; None if only one campaign has a model of this name.
        with_label: Disclose the case's label.

    Raises:
        DataError: The case is not in the training set or was not when the site enrolled, or it has
            changed since.
        UsageError: The model was not accepted or was taken back, or this site has no part in it.
        KeyFileError: The salt file is damaged or readable by others.
        IntegrityError: The ledger's history is not one that the contract could have written.
    """
    number = _place_of(site, case)
    history = _sound_history(site)
    part = _part(site, history, model, campaign)
    cases, data = site.data.train, site.directory / "data"
    salts = load_salts(data / SALT_FILE, ())
    leaves = kept_leaves(data, part.root)
    if leaves is None:
        leaves = _leaves_again(cases, salts, part)
    salt = salts.get(case)
    if salt is None:
        raise _never_committed(part)
    hidden = hide_case(case, int(cases.labels[number]), cases.volumes[number], salt)
    if hidden.leaf not in leaves:
        raise _changed(salt, hidden, leaves, part)
    index = leaves.index(hidden.leaf)
    proof = DataProof(
        chain_id=history.origin.chain_id,
        contract=history.origin.contract,
        campaign=part.campaign,
        partner=part.partner,
        account=part.account,
        cases=part.cases,
        data_commitment=part.root,
        model=part.model,
        weights_hash=part.weights_hash,
        trained=list(part.trained),
        index=index,
        path=list(audit_path(leaves, index)),
        hidden_id=hidden.id,
        hidden_label=hidden.label,
        hidden_volume=hidden.volume,
        id_key=part_key(salt, Part.ID),
        volume_key=part_key(salt, Part.VOLUME),
        label=int(cases.labels[number]) if with_label else None,
        label_key=part_key(salt, Part.LABEL) if with_label else None,
    )
    denied = examine(proof, history, case=case, cases=cases).denied
    if denied is not None:
        raise IntegrityError(
            f"The proof that was made is not right: {denied}.",
            hint="This is a defect, or files of the site changed meanwhile. Run it again.",
        )
    return Proved(proof, part, _lost(cases, salts, leaves))


def _place_of(site: Site, case: str) -> int:
    """Where a case stands in the training set.

    Raises:
        DataError: It is not there.
    """
    data = site.data
    if case in data.train.ids:
        return data.train.ids.index(case)
    elsewhere = {"hold-out": data.holdout, "validation": data.validation}
    for name, cases in elsewhere.items():
        if cases is not None and case in cases.ids:
            raise DataError(
                f"The case is in the {name} set of {site.name}: it votes on models, and none is "
                "trained on it.",
                hint="Only cases of train.npz are committed to.",
            )
    salted = case in load_salts(site.directory / "data" / SALT_FILE, ())
    raise DataError(
        f"The case is not in {site.directory / 'data' / 'train.npz'}"
        + (", though it was when the site enrolled at some time." if salted else "."),
        hint="Put the training set back as it was at the enrolment: a proof takes the case's "
        "volume and label."
        if salted
        else "Give a case's identifier as it is in the array ids there. That a case was not used "
        "can't be proven.",
    )


def _sound_history(site: Site) -> History:
    found = audit(Source.of_ledger(site.readable_ledger), held=list(kept_by(site)))
    if found.first is not None:
        raise IntegrityError(
            str(found.first), hint=f"Nothing is proven by it. See cdistrim verify {site.directory}."
        )
    return found.history


def _part(site: Site, history: History, model: str, campaign: int | None) -> PartInModel:
    member = next((one for one in history.members if one.name == site.name), None)
    if member is None:
        raise ConfigurationError(
            f"{site.name} is no member of the consortium at {site.contract}.",
            hint="Correct the name in site.json, or take part first.",
        )
    try:
        number = campaign_of(history, model) if campaign is None else campaign
        return part_in(history, number, member.account, model)
    except Denied as denied:
        raise UsageError(
            f"This can't be proven: {denied.why}.",
            hint="Give a model that was accepted, by its name as in the report, and --campaign "
            "where several campaigns have one of that name.",
        ) from None


def _leaves_again(cases: CaseSet, salts: dict[str, bytes], part: PartInModel) -> list[bytes]:
    """The leaves, out of the cases that are there now.

    Raises:
        DataError: They give another root than the one on the ledger.
    """
    salted = [number for number, one in enumerate(cases.ids) if one in salts]
    without = len(cases) - len(salted)
    if not without:
        leaves = leaves_of(cases, salts)
        if merkle_root(leaves) == part.root:
            return leaves
    gone = len(salts.keys() - set(cases.ids))
    raise DataError(
        f"No case of campaign {part.campaign} can be proven with what lies here: the leaves of "
        f"that enrolment are not kept, and today's {plural(len(cases), 'case')} give another root "
        f"than the {part.cases} then ({without} without a salt; {plural(gone, 'salt')} of cases "
        "that are not there).",
        hint="Restore data/commitments from the site's backup, or train.npz and salts.json as they "
        "were when the site enrolled.",
    )


def _never_committed(part: PartInModel) -> DataError:
    return DataError(
        "The case has no salt: it came after the enrolment in "
        f"campaign {part.campaign}, or the salts are not those of that time.",
        hint="If it was there then, restore data/salts.json from the site's backup.",
    )


def _changed(salt: bytes, hidden: HiddenCase, leaves: list[bytes], part: PartInModel) -> DataError:
    """Why a case of today is none of those that were committed to."""
    known, key = set(leaves), part_key(salt, Part.LABEL)
    others = (HiddenCase(hidden.id, hide_label(key, one), hidden.volume) for one in range(256))
    if any(other.leaf in known for other in others):
        return DataError(
            "The case has another label now than it had when the site enrolled in campaign "
            f"{part.campaign}: it can't be proven as it is now.",
            hint="Put the label back as it was, and prove that.",
        )
    return DataError(
        f"The case is none of the {part.cases} that were committed to in campaign "
        f"{part.campaign}: its volume or its salt has changed since, or it came later.",
        hint="Put train.npz back as it was at the enrolment, and salts.json from the site's "
        "backup.",
    )


def _lost(cases: CaseSet, salts: dict[str, bytes], leaves: list[bytes]) -> int:
    """How many leaves no case of today gives."""
    salted = [number for number, one in enumerate(cases.ids) if one in salts]
    return len(set(leaves) - set(leaves_of(cases.subset(salted), salts)))
