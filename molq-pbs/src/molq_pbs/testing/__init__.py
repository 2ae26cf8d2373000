"""Offer a PBS for tests, importing nothing until it is asked for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from molq_pbs.testing.fake_pbs import FakePBS, FakeTorque

__all__ = ["FakePBS", "FakeTorque"]


def __getattr__(name: str) -> object:
    # The fake programs import this package too, and start faster without attrs and molq.
    if name in __all__:
        from molq_pbs.testing import fake_pbs

        return getattr(fake_pbs, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
