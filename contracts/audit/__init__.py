"""Checks of the contract beyond its tests, each behind a make target. Standard library only."""
