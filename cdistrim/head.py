"""The head on its way into a slot: its ciphertext, the shares that open it, its key.

What is wrong with somebody else's head is remembered: it is this site's ground for asking the
partners to go back to the model before it (:mod:`cdistrim.restore`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cdistrim import custody, opening, progress, resharing, watch
from cdistrim.errors import OutOfOrderError, SealError, UnopenableHeadError, UntrustedDataError
from cdistrim.opening_reports import report_opening
from cdistrim.protocol import GENESIS, CampaignView, ModelRecord, SlotState, SlotView
from cdistrim.recoverability import Outlook, recoverability_of
from cdistrim.report.wording import plural
from cdistrim.restore import remember_failure

if TYPE_CHECKING:
    from cdistrim.envelope import Context, DataKey
    from cdistrim.iteration import IterationRef
    from cdistrim.site import Site
    from cdistrim.weights import Weights

__all__ = ["HeadFetch"]


class HeadFetch:
    """The owner's way to the head. Whoever opens it holds the site's lease."""

    def __init__(self, site: Site, ref: IterationRef) -> None:
        self._site = site
        self._ref = ref
        self._envelope = self._digest = b""
        self._key: DataKey | None = None

    @property
    def fetched(self) -> bool:
        """Whether the ciphertext is here."""
        return bool(self._envelope)

    def see_whole(self, view: CampaignView) -> None:
        """See that the head lies whole in the store, before its fetch is asked for.

        Raises:
            UnopenableHeadError: It does not.
        """
        if view.head != GENESIS:
            with self._opening(view):
                custody.see_whole(self._site, view.number, self._record(view))

    def fetch(self, view: CampaignView) -> str:
        """Bring the ciphertext here, checked against the ledger; its hash.

        Raises:
            UnopenableHeadError: It is missing, truncated or altered in the store.
        """
        if view.head == GENESIS:
            return "genesis"
        record = self._record(view)
        if not self._envelope or self._digest != record.ciphertext_hash:
            with self._opening(view):
                self._envelope = custody.ciphertext(self._site, view.number, record)
            self._digest = record.ciphertext_hash
        return record.ciphertext_hash.hex()

    def await_shares(self, view: CampaignView) -> None:
        """Wait until enough holders have released good shares of the key.

        Raises:
            UnopenableHeadError: Half of the time is over, and there are too few; or no capsule can
                be read.
        """
        with self._opening(view):
            if not watch.await_shares(self._site, self._ref, self._envelope):
                self._tell_who_failed(view)
                raise SealError(
                    f"Too few holders have released a good share of head {view.head} in time.",
                    hint="Look at their logs; the partners can go back to the head before it.",
                )

    def open(self, view: CampaignView, slot: SlotView) -> Weights:
        """Open the head into memory, and report it on the ledger; the ciphertext is let go.

        Raises:
            NotReleasedError: Too few holders have released a good share yet.
            UnopenableHeadError: The shares don't open it, or it is not what its record says.
        """
        if view.head != GENESIS and not self._envelope:
            raise OutOfOrderError(f"decrypt was called before fetch in slot {self._ref.slot}.")
        with self._opening(view):
            opened = opening.open_granted_head(self._site, view, slot, self._envelope)
        if slot.state is SlotState.FETCH_GRANTED:
            self._site.ledger.report_opened(
                campaign=slot.campaign, slot=slot.number, attempt=slot.attempt, **opened.counts
            )
            if opened.gathered is not None:
                record = self._record(view)
                report_opening(
                    self._site, view.number, record, opened.gathered, opened.key, **_at(slot)
                )
        self._key = opened.key
        self._envelope = b""
        return opened.weights

    def reshare(self, view: CampaignView, slot: SlotView) -> list[str]:
        """Share the keys of head and ancestors anew if members came, went or replaced their keys.

        Returns:
            Names of the models whose keys were shared anew.
        """
        if view.head == GENESIS or self._key is None:
            return []
        return resharing.reshare(self._site, view, self._key, **_at(slot))

    def warn_of_few_holders(self, view: CampaignView) -> None:
        """Say so if every holder that can be counted on has to answer, or more than that.

        Only after the training: whoever opens does not wait for all, so that it knows no sooner
        who answers.
        """
        seen = next(recoverability_of(self._site, view), None)
        if seen is None or seen.outlook is Outlook.SPARE:
            return
        text = (
            f"{seen.model}: {plural(len(seen.able), 'sure holder')}, "
            f"{seen.threshold or 'an unknown number'} needed; see `cdistrim site doctor`."
        )
        self._site.logger.warning(text)
        progress.listener().note(text)

    def context(self, view: CampaignView) -> Context | None:
        """The head's context; None for genesis."""
        if view.head == GENESIS:
            return None
        return custody.record_context(self._site, view.number, self._record(view))

    def context_and_key(self, view: CampaignView) -> tuple[Context, DataKey] | None:
        """What an evaluator that never measured the head needs; None for genesis, or unopened."""
        context = self.context(view)
        return None if context is None or self._key is None else (context, self._key)

    def forget(self) -> None:
        """Ciphertext and key leave memory."""
        self._envelope = b""
        self._key = None

    def _record(self, view: CampaignView) -> ModelRecord:
        return self._site.ledger.model(view.number, view.head)

    def _tell_who_failed(self, view: CampaignView) -> None:
        slot = self._site.ledger.slot(self._ref.campaign, self._ref.slot)
        record = self._record(view)
        found = opening.gather(self._site, view.number, record, **_at(slot))
        best = next((each for each in found if each.recorded), found[0])
        report_opening(self._site, view.number, record, best, None, **_at(slot))

    @contextmanager
    def _opening(self, view: CampaignView) -> Iterator[None]:
        try:
            yield
        except UntrustedDataError as error:
            if view.head == GENESIS:
                raise  # Nothing in the store is wrong: this machine makes other weights.
            told = (
                error
                if isinstance(error, UnopenableHeadError)
                else UnopenableHeadError(error.what, hint=error.hint)
            )
            remember_failure(self._site, view.number, view.head, told)
            raise told from error


def _at(slot: SlotView) -> dict[str, int]:
    """By what releases for a slot's owner are found."""
    return {"slot": slot.number, "attempt": slot.fetch_attempt}
