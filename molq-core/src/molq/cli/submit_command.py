"""``molq submit``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from molq.cli.following import LogReader, follow
from molq.cli.outcomes import exit_code_of, outcome_line
from molq.cli.output import SHORT_ID, plain, print_json, visible
from molq.errors import CommandError
from molq.job_spec import JobExecution, JobResources, JobScheduling, Script
from molq.job_state import JobState
from molq.quantities import Duration, Memory
from molq.records import JobRecord
from molq.scheduler_options import parse_options
from molq.submitor import Submitor

UNCONFIRMED = 75
INTERRUPTED = 130


@click.command("submit")
@click.argument("scheduler")
@click.argument("argv", metavar="-- COMMAND...", nargs=-1, type=click.UNPROCESSED)
@click.option("--cluster", "-c", metavar="NAME", help="Your name for the cluster; default: the scheduler's.")
@click.option("--shell", metavar="CODE", help="Run this line of shell code instead of a command.")
@click.option("--script", metavar="FILE", help="Run this script instead of a command; - reads it from standard input.")
@click.option("--name", "job_name", metavar="TEXT", help="A name for the job.")
@click.option("--cpus", "cpu_count", type=int, metavar="N", help="CPUs on each node.")
@click.option("--memory", metavar="SIZE", help="Memory on each node, such as 8G or 512M.")
@click.option("--gpus", "gpu_count", type=int, metavar="N", help="GPUs on each node.")
@click.option("--gpu-type", metavar="WORD", help="The kind of GPU.")
@click.option("--time", "time_limit", metavar="DURATION", help="How long it may run, such as 90m or 04:00:00.")
@click.option("--queue", metavar="NAME", help="The queue or partition.")
@click.option("--account", metavar="NAME", help="The account that is charged.")
@click.option("--priority", metavar="WORD", help="The scheduler's own word or number.")
@click.option("--env", "-e", multiple=True, metavar="NAME=VALUE", help="Set a variable for the command; repeatable.")
@click.option("--cwd", metavar="FOLDER", help="The working directory; default: the current one.")
@click.option("--output", "output_file", metavar="FILE", help="Where standard output goes.")
@click.option("--error", "error_file", metavar="FILE", help="Where standard error goes.")
@click.option("-o", "--option", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an option of the backend.")
@click.option("--block", is_flag=True, help="Wait, show the job's output, and exit as the job does.")
@click.option("--json", "as_json", is_flag=True, help="Print the job's record as JSON.")
def command(scheduler: str, argv: tuple[str, ...], **options: Any) -> int:
    """Submit a job to SCHEDULER (see: molq backends).

    \b
    Examples:
      molq submit local -- python train.py --epochs 3
      molq submit slurm --cpus 4 --memory 8G --time 2h --queue gpu -- ./simulate
      molq submit local --shell 'sort data.txt | uniq -c > counts.txt'

    Exits with 0 once the job is submitted, and with 75 if the scheduler did not answer clearly: then molq adopts the
    job as soon as it turns up, and it must not be submitted again.
    """  # noqa: D301 - click takes the character \b for: leave these lines as they are
    backend_options = parse_options(scheduler, options["pairs"])
    submitor = Submitor(options["cluster"] or scheduler, scheduler, scheduler_options=backend_options)
    handle = submitor.submit(
        argv=argv or None,
        command=options["shell"],
        script=_script(options["script"]),
        resources=JobResources(
            cpu_count=options["cpu_count"],
            memory=None if options["memory"] is None else Memory.parse(options["memory"]),
            gpu_count=options["gpu_count"],
            gpu_type=options["gpu_type"],
            time_limit=None if options["time_limit"] is None else Duration.parse(options["time_limit"]),
        ),
        scheduling=JobScheduling(queue=options["queue"], account=options["account"], priority=options["priority"]),
        execution=JobExecution(
            env=_variables(options["env"]),
            cwd=options["cwd"],
            job_name=options["job_name"],
            output_file=options["output_file"],
            error_file=options["error_file"],
        ),
    )
    record = submitor.get(handle.job_id)
    if options["block"]:
        return _block(submitor, record, as_json=options["as_json"])
    if options["as_json"]:
        print_json(plain(record))
    elif record.state is JobState.CREATED:
        click.echo(f"{record.job_id}  {visible(record.reason or 'unconfirmed')}")
    else:
        where = f"{visible(record.cluster_name)} as {record.scheduler_job_id}"
        click.echo(f"{record.job_id}  {record.state.value} to {where}")
    return UNCONFIRMED if record.state is JobState.CREATED else 0


def _block(submitor: Submitor, record: JobRecord, *, as_json: bool) -> int:
    raw = not sys.stdout.isatty()
    readers = [
        LogReader(record.stdout_path, sys.stderr if as_json else sys.stdout, raw=raw),
        LogReader(record.stderr_path, sys.stderr, raw=raw),
    ]
    try:
        ended = follow(submitor, record.job_id, readers)
    except KeyboardInterrupt:
        short = record.job_id[:SHORT_ID]
        print(
            f"\nmolq: stopped waiting; the job goes on. "
            f"Watch it with: molq watch {short}; end it with: molq cancel {short}",
            file=sys.stderr,
        )
        return INTERRUPTED
    if as_json:
        print_json(plain(ended))
    else:
        print(f"molq: {outcome_line(ended)}", file=sys.stderr)
    return exit_code_of(ended)


def _script(path: str | None) -> Script | None:
    if path is None:
        return None
    return Script.inline(sys.stdin.read()) if path == "-" else Script.path(Path(path))


def _variables(pairs: tuple[str, ...]) -> dict[str, str] | None:
    variables = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise CommandError(f"--env takes NAME=VALUE, not {pair!r}")
        variables[name] = value
    return variables or None
