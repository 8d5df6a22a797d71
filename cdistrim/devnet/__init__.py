"""The development chain: anvil, started and stopped by the program, surviving restarts and kills.

anvil keeps its chain in memory, and its own ``--state`` file is not written atomically. So a small
*supervisor* process (``python -m cdistrim.devnet``) owns anvil: it dumps the chain when
there are new blocks, as often as a tenth of the time allows and whenever it is asked to; it
replaces the dump atomically, and loads it again at the next start. Blocks, receipts and logs
of the whole history survive; old *states* don't, and nothing in this project reads them.

The supervisor ends with the process that started it, unless it was started detached.

This is a chain for development and demonstrations: whoever can open a connection to 127.0.0.1 can
rewrite it. Gas costs nothing, so members need no ether.
"""

from __future__ import annotations

from cdistrim.devnet.anvil import find_anvil
from cdistrim.devnet.chain import Devnet
from cdistrim.devnet.directory import CHAIN_ID, DevnetStatus

__all__ = ["CHAIN_ID", "Devnet", "DevnetStatus", "find_anvil"]
