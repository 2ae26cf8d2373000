"""Offer an LSF for tests, importing nothing until it is asked for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from molq_lsf.testing.fake_lsf import FakeLSF, FakeSpectrumLSF

__all__ = ["FakeLSF", "FakeSpectrumLSF"]


def __getattr__(name: str) -> object:
    # The fake programs import this package too, and start faster without attrs and molq.
    if name in __all__:
        from molq_lsf.testing import fake_lsf

        return getattr(fake_lsf, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
