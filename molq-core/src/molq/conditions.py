"""The conditions under which one job may follow another."""

from __future__ import annotations

from typing import Literal, get_args

DependencyCondition = Literal["after_success", "after_failure", "after_started", "after"]
"""What has to be true of an upstream job before its dependent may run."""

DEPENDENCY_CONDITIONS: tuple[DependencyCondition, ...] = get_args(DependencyCondition)
