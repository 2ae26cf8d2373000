"""Offer the options of the Slurm backend, importing nothing until they are asked for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from molq_slurm.options import SlurmSchedulerOptions

__all__ = ["SlurmSchedulerOptions"]


def __getattr__(name: str) -> object:
    if name == "SlurmSchedulerOptions":
        from molq_slurm.options import SlurmSchedulerOptions

        return SlurmSchedulerOptions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
