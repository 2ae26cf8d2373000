"""The documentation does not lag: its examples run, and it tells every command as it is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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


def test_no_page_installs_from_an_index_what_is_in_none():
    pages = [*_PAGES, *_ROOT.glob("molq-*/README.md")]

    assert [str(page) for page in pages if re.search(r"pip install (-\S+ )?molq", page.read_text())] == []


def test_every_decision_fits_a_page():
    pages = sorted((_ROOT / "docs" / "decisions").glob("0*.md"))

    assert [page.name for page in pages if len(page.read_text().splitlines()) > 60] == []
    assert [int(page.name[:3]) for page in pages] == list(range(1, len(pages) + 1))
