"""``molq submit``."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from molq.array_indices import expand_indices
from molq.cli.element_logs import ElementLogs, element_announcer
from molq.cli.exit_codes import INTERRUPTED, UNCONFIRMED
from molq.cli.following import LogReader, Reader, follow
from molq.cli.outcomes import exit_code_of, outcome_line, unconfirmed_line
from molq.cli.output import SHORT_ID, plain, print_json, print_table, show_warnings, visible
from molq.cli.request_options import request_of, request_options, without_what_is_undone
from molq.cli.retry_options import policy_of
from molq.cli.streams import submitted
from molq.cli.targets import CommandBehindDashes, open_submitor, profile_of, split_words, target_options
from molq.cli.wording import in_words_of_options
from molq.job_state import JobState
from molq.records import JobRecord
from molq.store import JobStore
from molq.submitor import Submitor


@click.command("submit", cls=CommandBehindDashes)
@click.argument("words", metavar="[SCHEDULER] -- COMMAND...", nargs=-1, type=click.UNPROCESSED)
@target_options
@click.option(
    "--cluster", "-c", metavar="NAME", help="Your name for the cluster; default: the scheduler's or the profile's."
)
@request_options
@click.option(
    "--dry-run",
    is_flag=True,
    help="Submit nothing: print the script, and on standard error where each value comes from.",
)
@click.option("--block", is_flag=True, help="Wait, show the job's output, and exit as the job does.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the job's record as JSON, and nothing else: with --block all output goes to standard error.",
)
def command(words: tuple[str, ...], **options: Any) -> int:
    """Submit a job to SCHEDULER (see: molq backends), or where a profile says. The command stands behind --.

    \b
    Examples:
      molq submit local -- python train.py --epochs 3
      molq submit slurm --cpus 4 --memory 8G --time 2h --queue gpu -- ./simulate
      molq submit --profile gpu --time 30m -- ./simulate
      molq submit slurm --after-success 1f3a -- ./analyse
      molq submit local --shell 'sort data.txt | uniq -c > counts.txt'

    Exits with 0 once the job is submitted, and with 75 if the scheduler did not answer clearly: then molq adopts the
    job as soon as it turns up, and it must not be submitted again. So it is if standard output does not take the
    job's id, which standard error then has.
    """  # noqa: D301 - click takes the character \b for: leave these lines as they are
    show_warnings()
    scheduler, argv = split_words(words, options["profile"])
    profile = profile_of(options["profile"])
    if profile is not None:
        profile = without_what_is_undone(profile, options)
    submitor = open_submitor(scheduler, profile, options["pairs"], options["cluster"])
    usual = profile.defaults.resources if profile else None
    with in_words_of_options():
        retry = policy_of(options, profile.retry if profile else None, usual)
        request = {**request_of(argv, options), "retry": retry}
        if not options["dry_run"]:
            handle = submitor.submit(**request)
        else:
            script = submitor.preview(**request)
    if options["dry_run"]:
        # Slow to import, since it knows of profiles.
        from molq.cli.origins import origins

        rows = list(origins(request, options["pairs"], profile, options["cluster"]))
        if options["as_json"]:
            values = [dict(zip(("field", "value", "from"), row, strict=True)) for row in rows]
            print_json({"script": script, "values": values})
        else:
            click.echo(script, nl=False)
            print_table(("FIELD", "VALUE", "FROM"), rows, to_stderr=True)
        return 0
    with submitted([handle.job_id]):
        record = submitor.get(handle.job_id)
        block = _block if options["block"] else _tell
        return block(submitor, record, as_json=options["as_json"])


def _tell(_submitor: Submitor, record: JobRecord, *, as_json: bool) -> int:
    if as_json:
        print_json(plain(record))
    elif record.state is JobState.CREATED:
        click.echo(f"{record.job_id}  {visible(record.reason or 'unconfirmed')}")
    else:
        where = f"{visible(record.cluster_name)} as {record.scheduler_job_id}"
        click.echo(f"{record.job_id}  {record.state.value} to {where}")
    if record.state is JobState.CREATED and record.not_before is None:
        print(f"molq: {unconfirmed_line(record)}", file=sys.stderr)
        return UNCONFIRMED
    return 0


def _block(submitor: Submitor, record: JobRecord, *, as_json: bool) -> int:
    raw = not sys.stdout.isatty()
    out = sys.stderr if as_json else sys.stdout
    store = JobStore()

    def readers_of(attempt: JobRecord) -> list[Reader]:
        spec = store.tracked_job(attempt.job_id).array_spec
        files = [(attempt.stdout_path, out), (attempt.stderr_path, sys.stderr)]
        if os.path.realpath(attempt.stdout_path) == os.path.realpath(attempt.stderr_path):
            # Both go to one file, which is not to be shown twice.
            del files[1]
        if spec is None:
            return [LogReader(path, stream, raw=raw) for path, stream in files]
        indices, announce = expand_indices(spec), element_announcer()
        return [ElementLogs(path, indices, stream, raw=raw, announce=announce) for path, stream in files]

    try:
        ended = follow(submitor, record.job_id, readers_of)
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
