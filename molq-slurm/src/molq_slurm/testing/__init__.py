"""Offer a Slurm for tests, importing nothing until it is asked for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from molq_slurm.testing.fake_slurm import FakeSlurm

__all__ = ["FakeSlurm"]


def __getattr__(name: str) -> object:
    # The fake programs import this package too, and start faster without attrs and molq.
    if name == "FakeSlurm":
        from molq_slurm.testing.fake_slurm import FakeSlurm

        return FakeSlurm
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
