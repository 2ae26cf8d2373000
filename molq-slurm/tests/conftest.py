"""Fixtures of the Slurm backend's tests."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from molq_slurm.testing import FakeSlurm

# A busy machine takes its time for each example.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Tests are no packages, so the helpers beside them are loaded by their path.
for _name in ("recorded", "real_slurm"):
    _spec = importlib.util.spec_from_file_location(f"slurm_tests_{_name}", Path(__file__).parent / f"{_name}.py")
    _module = importlib.util.module_from_spec(_spec)
    sys.modules[f"slurm_tests_{_name}"] = _module
    _spec.loader.exec_module(_module)


@pytest.fixture(scope="session")
def real_slurm():
    """A real Slurm, brought up once for all tests that need one."""
    from slurm_tests_real_slurm import RealSlurm, why_not

    reason = why_not()
    if reason:
        pytest.skip(reason)
    # The path of a socket is short, whatever TMPDIR is.
    folder = Path(tempfile.mkdtemp(prefix="molq-slurm-", dir="/tmp"))
    slurm = RealSlurm(folder)
    yield slurm
    slurm.stop()
    shutil.rmtree(folder)


@pytest.fixture
def fake_slurm(tmp_path):
    """A fake Slurm."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    return FakeSlurm(folder)
