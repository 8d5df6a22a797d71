"""Cases: reading them, splitting them by patient, balancing them, committing to them."""
