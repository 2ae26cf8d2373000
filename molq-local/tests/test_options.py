from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from molq.backend import Duration, Memory
from molq_local import LocalSchedulerOptions


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_concurrent": 0},
        {"max_concurrent": True},
        {"cpu_count": -1},
        {"cpu_count": 1.5},
        {"memory": "8G"},
        {"memory": Memory(0)},
        {"state_dir": ""},
        {"state_dir": 3},
        {"kill_grace": 10},
        {"idle_seconds": -1},
        {"idle_seconds": float("nan")},
        {"idle_seconds": "5"},
    ],
)
def test_a_wrong_option_is_refused_by_name(wrong):
    (name,) = wrong

    with pytest.raises(ValueError, match=rf"LocalSchedulerOptions\.{name} must be .*, not "):
        LocalSchedulerOptions(**wrong)


def test_the_capacity_defaults_to_this_machine():
    options = LocalSchedulerOptions()

    assert options.cpu_capacity() == len(os.sched_getaffinity(0))
    assert options.memory_capacity() > 2**20
    assert options.kill_grace == Duration(10)


def test_the_folder_follows_molq_home(monkeypatch, tmp_path):
    monkeypatch.setenv("MOLQ_HOME", str(tmp_path))
    assert LocalSchedulerOptions().folder() == str(tmp_path / "local")

    monkeypatch.delenv("MOLQ_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert LocalSchedulerOptions().folder() == "/home/somebody/.molq/local"
    assert LocalSchedulerOptions(state_dir=Path("~/q")).folder() == "/home/somebody/q"


def test_the_agent_imports_nothing_but_the_standard_library():
    code = (
        "import sys; sys.path.append(sys.argv[1]); import molq_local.daemon;"
        "print(sorted({n.partition('.')[0] for n in sys.modules} - set(sys.stdlib_module_names)))"
    )
    source = str(Path(sys.modules["molq_local"].__file__).parent.parent)

    found = subprocess.run([sys.executable, "-I", "-S", "-c", code, source], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "['__main__', 'molq_local']" or found.stdout.strip() == "['molq_local']"


def test_a_relative_folder_is_that_of_the_submitter(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    options = LocalSchedulerOptions(state_dir="queue")

    monkeypatch.chdir("/")

    assert options.folder() == str(tmp_path / "queue")
