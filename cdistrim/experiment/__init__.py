"""The paper's experiment: what it compared, on what, and what came out of it."""
