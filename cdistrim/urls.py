"""Addresses as users give them: what one of a node has to be like, and how any is shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

__all__ = ["node_url_fault", "without_secrets"]


def node_url_fault(url: str) -> str:
    """What is wrong with the JSON-RPC address of a node, never saying any of it; empty if nothing.

    A name and a password in it would come into every message that names the node.
    """
    if not re.fullmatch(r"https?://.+", url):
        return "it begins with http:// or https://"
    if "@" in url.split("/")[2]:
        return (
            "no user name and no password may be in it, since messages name the node: use one "
            "that takes this site without, e.g. by a token in the path"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "its port has to be a number from 1 to 65535, and its host a name or an address"
    if not parts.hostname or port == 0:
        return "it has a host, and maybe a port from 1 to 65535"
    return ""


def without_secrets(url: str, *, node: bool = False) -> str:
    """A malformed address as it may be shown: without name and password.

    Args:
        node: It is a node's: its path may be a token, and is not shown either.
    """
    shown = re.sub(r"^([a-z+.-]*:?//)?.*@", r"\1…@", url, flags=re.IGNORECASE | re.DOTALL)
    if not node:
        return shown
    return re.sub(r"^(https?://[^/?#]+)[/?#].+", r"\1/…", shown, flags=re.DOTALL)
