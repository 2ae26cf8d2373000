"""Offer the options of molq's local queue, importing nothing until they are asked for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from molq_local.options import LocalSchedulerOptions

__all__ = ["LocalSchedulerOptions"]


def __getattr__(name: str) -> object:
    # The agent imports this package too, and must do without attrs and molq.
    if name == "LocalSchedulerOptions":
        from molq_local.options import LocalSchedulerOptions

        return LocalSchedulerOptions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
