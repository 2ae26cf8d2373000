"""Fixtures of the PBS backend's tests."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from molq.commands import SystemCommands
from molq_pbs import hooks
from molq_pbs.testing import FakePBS, FakeTorque

# A busy machine takes its time for each example.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Tests are no packages, so the helpers beside them are loaded by their path.
for _name in ("recorded", "real_pbs"):
    _spec = importlib.util.spec_from_file_location(f"pbs_tests_{_name}", Path(__file__).parent / f"{_name}.py")
    _module = importlib.util.module_from_spec(_spec)
    sys.modules[f"pbs_tests_{_name}"] = _module
    _spec.loader.exec_module(_module)


@pytest.fixture
def fake_pbs(tmp_path):
    """A fake OpenPBS."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    return FakePBS(folder)


@pytest.fixture
def fake_torque(tmp_path):
    """A fake Torque."""
    folder = tmp_path / "torque"
    folder.mkdir()
    return FakeTorque(folder)


@pytest.fixture
def commands():
    """What runs programs as molq does."""
    return SystemCommands(hooks.molq_describe_backend(), os.environ)
