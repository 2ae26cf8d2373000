"""A backend's options are read from what people type."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from molq.backend import SchedulerOptions
from molq.errors import ConfigError
from molq.quantities import Duration, Memory
from molq.scheduler_options import parse_option


@attrs.frozen(kw_only=True)
class _Options(SchedulerOptions):
    program: str = "sbatch"
    flags: tuple[str, ...] = ()
    limit: int | None = None
    memory: Memory | None = None
    grace: Duration = attrs.field(factory=lambda: Duration(10))
    folder: Path | str | None = None
    quiet: bool = False


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("program", "/opt/bin/sbatch", "/opt/bin/sbatch"),
        ("flags", "--a,--b", ("--a", "--b")),
        ("limit", "4", 4),
        ("memory", "2G", Memory.gb(2)),
        ("grace", "2m", Duration(120)),
        ("folder", "/a b", "/a b"),
        ("quiet", "yes", True),
        ("quiet", "false", False),
    ],
)
def test_an_option_is_read_by_its_type(name: str, text: str, value: object):
    assert parse_option(_Options, name, text) == value


@pytest.mark.parametrize(("name", "text"), [("limit", "x"), ("memory", "5X"), ("quiet", "perhaps"), ("grace", "-1s")])
def test_a_text_that_is_no_value_is_named(name: str, text: str):
    with pytest.raises(ConfigError, match=f"'{text}' is no value for the option '{name}'"):
        parse_option(_Options, name, text)


def test_an_unknown_option_is_answered_with_those_there_are():
    with pytest.raises(ConfigError, match="_Options has no option 'sbatch'; it has program, flags, limit"):
        parse_option(_Options, "sbatch", "x")
