"""Fixtures of the LSF backend's tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from molq_lsf.testing import FakeLSF, FakeSpectrumLSF

# A busy machine takes its time for each example.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Tests are no packages, so the helpers beside them are loaded by their path.
for _name in ("recorded", "real_lsf"):
    _spec = importlib.util.spec_from_file_location(f"lsf_tests_{_name}", Path(__file__).parent / f"{_name}.py")
    _module = importlib.util.module_from_spec(_spec)
    sys.modules[f"lsf_tests_{_name}"] = _module
    _spec.loader.exec_module(_module)


@pytest.fixture
def fake_lsf(tmp_path):
    """A fake OpenLava."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    return FakeLSF(folder)


@pytest.fixture
def fake_spectrum(tmp_path):
    """A fake IBM Spectrum LSF."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    return FakeSpectrumLSF(folder)
