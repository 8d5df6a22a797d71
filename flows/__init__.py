"""The protocol as Prefect flows. Prefect only drives: what to do next is read off the ledger."""
