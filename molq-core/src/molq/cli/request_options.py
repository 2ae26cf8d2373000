"""The options that describe a job, one for each field of a request."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import click

from molq.cli.numbers import WholeNumber, quantity
from molq.cli.variables import variables_of
from molq.errors import CommandError
from molq.job_spec import JobExecution, JobResources, JobScheduling, Script
from molq.policies import MOST_ATTEMPTS
from molq.quantities import Duration, Memory
from molq.store import JobStore

if TYPE_CHECKING:
    from molq.config import MolqProfile

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--shell", metavar="CODE", help="Run this line of shell code instead of a command."),
    click.option("--script", metavar="FILE", help="Run this script instead; - reads it from standard input."),
    click.option("--name", "job_name", metavar="TEXT", help="A name for the job; default: made from the command."),
    click.option("--cpus", "cpu_count", type=WholeNumber(1), metavar="N", help="CPUs on each node."),
    click.option("--memory", metavar="SIZE", help="Memory on each node, such as 8G or 512M; a bare number is bytes."),
    click.option("--gpus", "gpu_count", type=WholeNumber(1), metavar="N", help="GPUs on each node."),
    click.option("--gpu-type", metavar="WORD", help="The kind of GPU."),
    click.option(
        "--time",
        "time_limit",
        metavar="DURATION",
        help="How long it may run, such as 90m or 04:00:00; a bare number is seconds.",
    ),
    click.option("--queue", metavar="NAME", help="The queue or partition."),
    click.option("--account", metavar="NAME", help="The account that is charged."),
    click.option("--priority", metavar="WORD", help="The scheduler's own word or number."),
    click.option(
        "--exclusive/--no-exclusive",
        "exclusive_node",
        default=None,
        help="Have the nodes for this job alone, or not though the profile says so.",
    ),
    click.option("--nodes", "node_count", type=WholeNumber(1), metavar="N", help="How many nodes."),
    click.option(
        "--array",
        "array_spec",
        metavar="INDICES",
        help="Run once for each index: 0-9 or 1,3,5-7; 0-9:2 is every second, %4 at the end: at most 4 at once.",
    ),
    click.option("--email", metavar="ADDRESS", help="Where the scheduler writes to."),
    click.option("--qos", metavar="NAME", help="The quality of service."),
    click.option("--reservation", metavar="NAME", help="The reservation."),
    click.option("--dependency", metavar="TEXT", help="A dependency in the scheduler's own words."),
    click.option("--after-success", multiple=True, metavar="ID", help="Wait until this job succeeded; repeatable."),
    click.option(
        "--after-failure",
        multiple=True,
        metavar="ID",
        help="Wait until this job failed, was cancelled, timed out or was lost; repeatable.",
    ),
    click.option("--after-started", multiple=True, metavar="ID", help="Wait until this job started; repeatable."),
    click.option("--after", multiple=True, metavar="ID", help="Wait until this job ended, however; repeatable."),
    click.option("--env", "-e", multiple=True, metavar="NAME=VALUE", help="Set a variable; repeatable."),
    click.option("--env-file", type=click.Path(), metavar="FILE", help="Set the variables in this file of NAME=VALUE."),
    click.option("--cwd", metavar="FOLDER", help="The working directory; default: the current one."),
    click.option(
        "--output",
        "output_file",
        metavar="FILE",
        help="Where standard output goes; default: stdout.log in the job's own folder.",
    ),
    click.option(
        "--error",
        "error_file",
        metavar="FILE",
        help="Where standard error goes; default: stderr.log in the job's own folder.",
    ),
    click.option(
        "--retries",
        type=WholeNumber(0, MOST_ATTEMPTS - 1),
        metavar="N",
        help="Try again up to N times; default: as the profile says, or 0.",
    ),
    click.option(
        "--retry-on",
        multiple=True,
        type=click.Choice(("failed", "timed_out", "lost")),
        help="After this end only; repeatable; default: failed and timed_out.",
    ),
    click.option(
        "--retry-on-exit-code",
        multiple=True,
        type=WholeNumber(0, 255),
        metavar="CODE",
        help="After this exit code only; repeatable.",
    ),
    click.option(
        "--retry-wait",
        metavar="DURATION",
        help="Wait so long before the first retry, and twice as long before each later one, up to 5m; default: 5s.",
    ),
    click.option(
        "--more-memory",
        metavar="FACTOR[:CAP]",
        help="After it ran out of memory, ask for FACTOR times as much, up to CAP: 2 or 2:64G.",
    ),
    click.option(
        "--more-time",
        metavar="FACTOR[:CAP]",
        help="After its time limit, ask for FACTOR times as much, up to CAP: 1.5 or 1.5:24h.",
    ),
)
_CONDITIONS = ("after_success", "after_failure", "after_started", "after")
_SCHEDULING = (
    "queue",
    "account",
    "priority",
    "dependency",
    "node_count",
    "array_spec",
    "email",
    "qos",
    "reservation",
)


def request_options(command: _Command) -> _Command:
    """Give a command the options of a request, in the order of the table."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def request_of(argv: tuple[str, ...], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``Submitor.submit`` that a command line amounts to.

    Raises:
        ValueError, CommandError, JobNotFoundError: an option has no value that can be used.
    """
    _check_one_is_given(argv, options)
    memory, time_limit = options["memory"], options["time_limit"]
    return {
        "argv": argv or None,
        "command": options["shell"],
        "script": _script(options["script"]),
        "resources": JobResources(
            cpu_count=options["cpu_count"],
            memory=None if memory is None else quantity("--memory", Memory, memory),
            gpu_count=options["gpu_count"],
            gpu_type=options["gpu_type"],
            time_limit=None if time_limit is None else quantity("--time", Duration, time_limit),
        ),
        "scheduling": JobScheduling(
            **{name: options[name] for name in _SCHEDULING}, exclusive_node=bool(options["exclusive_node"])
        ),
        "execution": JobExecution(
            env=variables_of(options["env_file"], options["env"]),
            cwd=options["cwd"],
            job_name=options["job_name"],
            output_file=options["output_file"],
            error_file=options["error_file"],
        ),
        **_upstreams(options),
    }


def without_what_is_undone(profile: MolqProfile, options: Mapping[str, Any]) -> MolqProfile:
    """Return the profile without ``exclusive_node`` if the command line undoes that.

    No request can: a False in it is what it has when nothing was said, and so gives way to a profile.
    """
    scheduling = profile.defaults.scheduling
    if options["exclusive_node"] is not False or scheduling is None:
        return profile
    shared = attrs.evolve(scheduling, exclusive_node=False)
    return attrs.evolve(profile, defaults=attrs.evolve(profile.defaults, scheduling=shared))


def _check_one_is_given(argv: tuple[str, ...], options: Mapping[str, Any]) -> None:
    given = {"a command behind --": argv or None, "--shell": options["shell"], "--script": options["script"]}
    names = [name for name, value in given.items() if value is not None]
    if not names:
        raise CommandError("there is nothing to run; give a command behind --, --shell CODE or --script FILE")
    if len(names) > 1:
        raise CommandError(f"give only one of {', '.join(names[:-1])} and {names[-1]}: one of them is what runs")


def _script(path: str | None) -> Script | None:
    if path is None:
        return None
    if path != "-":
        return Script.path(Path(path))
    if sys.stdin is None:
        raise CommandError("--script - reads the script from standard input, which is closed")
    return Script.inline(sys.stdin.read())


def _upstreams(options: Mapping[str, Any]) -> dict[str, list[str]]:
    if not any(options[condition] for condition in _CONDITIONS):
        return {}
    store = JobStore()
    return {condition: [store.resolve(prefix) for prefix in options[condition]] for condition in _CONDITIONS}
