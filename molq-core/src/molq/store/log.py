"""Tell what is odd in the database."""

from __future__ import annotations


def warn(message: str, *values: object) -> None:
    """Log a warning."""
    # Slow to import, and seldom needed.
    import logging

    logging.getLogger("molq.store").warning(message, *values)
