"""Offer the suite that a backend has to pass: ``class TestMine(BackendContract)`` with a ``cluster`` fixture."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "molq.testing.contract_kit",
    "molq.testing.contract_submission",
    "molq.testing.contract_polling",
    "molq.testing.contract_control",
)

from molq.testing.contract_control import (  # noqa: E402 - what is imported before cannot explain its assertions
    CancellingRules,
    DependencyRules,
    ElementCancellingRules,
    RecoveryRules,
)
from molq.testing.contract_polling import EndingRules, OutageRules, PollingRules  # noqa: E402 - as above
from molq.testing.contract_submission import (  # noqa: E402 - as above
    EnvironmentRules,
    LoadingRules,
    RenderingRules,
    SubmittingRules,
)

__all__ = ["BackendContract"]


class BackendContract(
    LoadingRules,
    RenderingRules,
    SubmittingRules,
    EnvironmentRules,
    PollingRules,
    OutageRules,
    EndingRules,
    CancellingRules,
    DependencyRules,
    ElementCancellingRules,
    RecoveryRules,
):
    """All rules for backends.

    A subclass sets ``scheduler``, may set the other attributes of ``ContractKit``, and has a fixture ``cluster`` that
    returns a ``molq.testing.contract_kit.Cluster``: the backend's fake scheduler, or a real one. Rules that need
    something to happen that the cluster cannot bring about are skipped.
    """

    def __init_subclass__(cls) -> None:
        overridden = sorted(name for name in vars(cls) if name.startswith("test_") and hasattr(BackendContract, name))
        if overridden:
            raise TypeError(f"{cls.__name__} overrides rules of the contract: {', '.join(overridden)}")
