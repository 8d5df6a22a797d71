"""``python -m cdistrim``."""

from cdistrim.cli import main

main()
