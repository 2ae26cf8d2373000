"""The documentation does not lag: its examples run, and it tells every command as it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from molq import Duration, JobResources, JobScheduling, Memory
from molq.backend import SchedulerOptions, SubmitRequest
from molq_lsf.testing import FakeSpectrumLSF
from molq_pbs.testing import FakePBS
from molq_slurm.testing import FakeSlurm

_ROOT = Path(__file__).parent.parent
_PAGES = sorted([_ROOT / "README.md", *_ROOT.glob("docs/**/*.md")])
# A page about a scheduler needs its programs.
_CLUSTERS = {"slurm.md": FakeSlurm, "pbs.md": FakePBS, "lsf.md": FakeSpectrumLSF}
_COMMANDS = _ROOT / "docs" / "reference" / "command-line.md"


def _examples(page: Path) -> str:
    return "\n".join(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize("page", [p for p in _PAGES if _examples(p)], ids=lambda p: str(p.relative_to(_ROOT)))
def test_the_examples_of_a_page_run(page: Path, home: Path, tmp_path: Path):
    programs = [str(Path(sys.executable).parent), os.environ["PATH"]]
    if page.name in _CLUSTERS:
        programs.insert(0, str(_CLUSTERS[page.name](tmp_path).bin))
    reply = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", _examples(page)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PATH": os.pathsep.join(programs)},
    )

    assert reply.returncode == 0, reply.stderr
    # A reader who tries an example keeps the profiles that are there.
    assert not (home / "config.toml").exists()


def _help(*arguments: str) -> str:
    program = Path(sys.executable).with_name("molq")
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb"}
    shown = subprocess.run(
        [program, *arguments, "--help"], capture_output=True, text=True, check=True, env=environment
    ).stdout
    return "\n".join(line.rstrip() for line in shown.splitlines())


def _sections(*command: str) -> Iterator[str]:
    """Yield a section for a command, and one for each below it."""
    shown = _help(*command)
    title = f"{'#' * (1 + len(command))} `{' '.join(['molq', *command])}`\n\n" if command else ""
    yield f"{title}```text\n{shown}\n```\n"
    for name in re.findall(r"^  (\w+)  ", shown.partition("Commands:")[2], re.MULTILINE):
        yield from _sections(*command, name)


def test_the_page_of_the_command_line_is_what_the_command_line_says(home: Path):
    page = "\n".join(["# The command line\n", *_sections()])
    if os.environ.get("MOLQ_UPDATE_DOCS"):
        _COMMANDS.write_text(page)

    assert _COMMANDS.read_text() == page, "write it anew with: MOLQ_UPDATE_DOCS=1 pytest tests/test_documentation.py"


def test_the_readme_names_every_command():
    readme = (_ROOT / "README.md").read_text()
    listed = re.findall(r"^## `molq (\w+)`", _COMMANDS.read_text(), re.MULTILINE)

    assert listed
    assert [name for name in listed if f"`molq {name}" not in readme] == []


def _backend_of_the_page() -> dict[str, Any]:
    page = _ROOT / "docs" / "how-to" / "write-a-backend.md"
    first, *others = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    backend: dict[str, Any] = {}
    exec(first, backend)
    for other in others:
        exec(other, {})
    return backend


def test_the_backend_of_the_page_drops_no_field_and_sends_output_where_molq_looks():
    backend = _backend_of_the_page()
    request = SubmitRequest(
        job_id="1f3a", job_name="name", job_dir=Path("/d"), body="body", cwd=Path("/w"), stdout_path=Path("/out"),
        stderr_path=Path("/err"), resources=JobResources(), scheduling=JobScheduling(), dependency=None,
        options=SchedulerOptions(),
    )  # fmt: skip
    values = {
        "resources": {
            "cpu_count": 2, "memory": Memory.gb(1), "gpu_count": 1, "gpu_type": "a", "time_limit": Duration(9),
        },
        "scheduling": {
            "queue": "q", "account": "a", "priority": "1", "dependency": "d", "node_count": 2, "exclusive_node": True,
            "array_spec": "0-3", "email": "a@b", "qos": "q", "reservation": "r",
        },
    }  # fmt: skip
    plain = backend["molq_render_script"](request)
    dropped = [
        name
        for part, fields in values.items()
        for name, value in fields.items()
        if name not in backend["molq_describe_backend"]().unsupported
        and backend["molq_render_script"](
            attrs.evolve(request, **{part: attrs.evolve(getattr(request, part), **{name: value})})
        )
        == plain
    ]

    assert dropped == []
    assert all(f"={text}\n" in plain for text in ("1f3a", "name", "/w", "/out", "/err"))


def test_the_pages_to_follow_install_from_a_clone_as_long_as_no_index_has_molq():
    pages = [page for page in _PAGES if page.name != "install.md"]

    assert [str(page) for page in pages if re.search(r"pip install (-\S+ )?molq", page.read_text())] == []


def test_every_decision_fits_a_page():
    pages = sorted((_ROOT / "docs" / "decisions").glob("0*.md"))

    assert [page.name for page in pages if len(page.read_text().splitlines()) > 60] == []
    assert [int(page.name[:3]) for page in pages] == list(range(1, len(pages) + 1))
