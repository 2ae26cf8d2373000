"""Offer the options of the PBS backend, importing nothing until they are asked for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from molq_pbs.options import PBSSchedulerOptions

__all__ = ["PBSSchedulerOptions"]


def __getattr__(name: str) -> object:
    if name == "PBSSchedulerOptions":
        from molq_pbs.options import PBSSchedulerOptions

        return PBSSchedulerOptions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
