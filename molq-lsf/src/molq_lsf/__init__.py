"""Offer the options of the LSF backend, importing nothing until they are asked for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from molq_lsf.options import LSFSchedulerOptions

__all__ = ["LSFSchedulerOptions"]


def __getattr__(name: str) -> object:
    if name == "LSFSchedulerOptions":
        from molq_lsf.options import LSFSchedulerOptions

        return LSFSchedulerOptions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
