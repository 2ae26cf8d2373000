"""``import molq`` costs next to nothing, and every name of it is there when it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import molq

OPTION_CLASSES = {
    "LocalSchedulerOptions": "molq-local",
    "SlurmSchedulerOptions": "molq-slurm",
    "PBSSchedulerOptions": "molq-pbs",
    "LSFSchedulerOptions": "molq-lsf",
}

# Without backends, which need not be installed beside the core, and may be.
HIDDEN = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in ("molq_local", "molq_slurm", "molq_pbs", "molq_lsf"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
"""


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def imported_by(statement):
    """Return what a statement imports that Python, a sitecustomize or an editable install have not before it."""
    shown = python(f"import sys\nbefore = {{*sys.modules}}\n{statement}\nprint(*({{*sys.modules}} - before))")
    return set(shown.split())


def test_importing_molq_imports_nothing_of_weight():
    heavy = {"attrs", "attr", "click", "tomlkit", "cattrs", "asyncio", "sqlite3", "importlib.metadata", "pluggy"}

    modules = imported_by("import molq")

    assert modules & heavy == set()
    assert {name for name in modules if name.startswith("molq")} == {"molq"}


def test_importing_the_submitor_leaves_out_what_it_seldom_needs():
    heavy = {"click", "tomlkit", "cattrs", "cattr", "asyncio", "textual", "importlib.metadata", "molq.hookspecs"}
    heavy |= {"tomllib", "molq.config"}

    modules = imported_by("from molq import Submitor")

    assert modules & heavy == set()
    assert {name for name in modules if name.startswith("molq_")} == set()


def test_reading_a_profile_needs_no_more_than_reading():
    modules = imported_by("from molq import load_config\ntry: load_config()\nexcept Exception: pass")

    assert "molq.config_file" in modules
    assert modules & {"tomlkit", "click", "molq.toml_edits"} == set()


def test_importing_the_store_needs_no_backend():
    modules = imported_by("from molq import JobStore")

    assert modules & {"pluggy", "importlib.metadata", "molq.backend", "molq.discovery", "subprocess"} == set()


@pytest.mark.parametrize("name", [name for name in molq.__all__ if name not in OPTION_CLASSES])
def test_every_public_name_is_there(name):
    assert getattr(molq, name) is not None
    assert name in dir(molq)


def test_a_public_name_is_looked_up_once():
    first = molq.Memory

    assert molq.__dict__["Memory"] is first


def test_a_name_that_molq_does_not_have_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'molq' has no attribute 'submit'"):
        _ = molq.submit


@pytest.mark.parametrize(("name", "package"), OPTION_CLASSES.items())
def test_the_options_of_a_backend_that_is_not_installed_say_what_to_install(name, package):
    told = python(f"{HIDDEN}\ntry:\n    from molq import {name}\nexcept ImportError as error:\n    print(error)")

    assert told == f"cannot import '{name}' from 'molq': {package} is not installed; run: pip install {package}"


def test_a_backend_that_cannot_import_what_it_needs_is_not_taken_for_missing(tmp_path):
    (tmp_path / "molq_slurm.py").write_text("import nothing_like_this")
    code = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\ntry:\n    from molq import SlurmSchedulerOptions\n"
    code += "except ImportError as error:\n    print(error)"

    assert python(code) == "No module named 'nothing_like_this'"


def test_a_backend_without_its_options_says_what_to_upgrade(tmp_path):
    (tmp_path / "molq_slurm.py").write_text("")
    code = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\ntry:\n    from molq import SlurmSchedulerOptions\n"
    code += "except ImportError as error:\n    print(error)"

    assert "does not have it; run: pip install --upgrade molq-slurm" in python(code)
