"""Sequential distributed learning under an Ethereum ledger (Zerka et al. 2020, C-DistriM)."""

__version__ = "0.1.0"
