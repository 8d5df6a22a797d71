"""A store that gives rights by prefix, as docs/deployment.md asks an operator to set up."""

from __future__ import annotations

from functools import cache

from cdistrim.places import SPECS, author_place
from cdistrim.site import Site
from cdistrim.store import ObjectStore

__all__ = ["StoreWithRights", "store_with_rights"]


class StoreWithRights(ObjectStore):
    """A site's way to the store: it may read all, create below its own account, delete nothing."""

    def __init__(self, site: Site) -> None:
        # An fsspec filesystem of its own: they are shared otherwise, and so would be the refusal.
        super().__init__(site.settings.store_url, skip_instance_cache=True)
        own = author_place(site.settings.chain_id, site.contract, site.account)
        self._allowed = tuple(f"{self._root}/{place}/" for place in (SPECS, own))
        self._fs.rm_file = self._refuse

    def _write(self, target: str, data: bytes) -> None:
        if not target.startswith(self._allowed):
            self._refuse(target)
        super()._write(target, data)

    @staticmethod
    def _refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)


@cache
def store_with_rights(site: Site) -> StoreWithRights:
    """In place of :attr:`cdistrim.site.Site.store`; one for each site."""
    return StoreWithRights(site)
