"""``molq inspect``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import click

from molq.array_elements import ElementReport
from molq.array_indices import format_indices
from molq.cli.columns import laid_out
from molq.cli.jobs import find_jobs, refresh
from molq.cli.numbers import WholeNumber
from molq.cli.output import clock, plain, print_json, print_table, visible
from molq.errors import CommandError
from molq.records import JobRecord
from molq.store import JobStore

_TIMES = frozenset(name for name in JobRecord.__annotations__ if name.endswith(("_at", "_since", "_before")))


@click.command("inspect")
@click.argument("job_id", metavar="ID")
@click.option("--attempt", metavar="N", type=WholeNumber(1), help="Show this attempt; default: the latest.")
@click.option("--no-refresh", is_flag=True, help="Do not ask the scheduler; show what is recorded.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(job_id: str, attempt: int | None, no_refresh: bool, as_json: bool) -> None:
    """Show all that is known of a job: its record, request, elements, neighbours and the steps in its life.

    Of several attempts the latest is shown, unless the id is that of another; molq history shows them all.
    """
    store = JobStore()
    (found,) = find_jobs(store, [job_id])
    if not no_refresh:
        refresh(store, [store.latest_attempt(found.job_id)])
    record = _attempt(store, found.job_id, attempt)
    request = store.request(record.job_id)
    steps = store.transitions(record.job_id)
    # A job's attempts share its edges, which have the id of the first.
    edges = [*store.dependencies(record.root_job_id), *store.dependents(record.root_job_id)]
    elements = store.elements([record.job_id]).get(record.job_id, ())
    health = store.leases.health(record.cluster_name, record.scheduler)
    if as_json:
        print_json(
            {
                **plain(record),
                "request": request,
                "dependencies": [plain(edge) for edge in edges],
                "transitions": [plain(step) for step in steps],
                "elements": [plain(element) for element in elements],
                "cluster": plain(health),
            }
        )
        return
    facts = [*_facts(record)]
    for part, fields in request.items():
        facts += [(f"{part}.{name}", json.dumps(value, ensure_ascii=False)) for name, value in fields.items()]
    if health.failing_since is not None and not record.state.is_terminal:
        facts.append(("stale", f"since {clock(health.failing_since)}: {health.failure or ''}"))
    for line in laid_out([(visible(name), visible(value)) for name, value in facts], None):
        click.echo(line)
    if elements:
        click.echo()
        print_table(("ELEMENTS", "STATE", "EXIT", "CAUSE"), _grouped(elements))
    if edges:
        click.echo()
        print_table(
            ("JOB", "WAITS FOR", "CONDITION", "IN THE SCHEDULER'S WORDS"),
            [(e.job_id, e.dependency_job_id, e.dependency_type, e.scheduler_dependency or "-") for e in edges],
        )
    click.echo()
    print_table(
        ("WHEN", "FROM", "TO", "LEARNED FROM"),
        [(clock(s.timestamp), s.old_state or "-", s.new_state, s.reason or "") for s in steps],
    )


def _attempt(store: JobStore, job_id: str, attempt: int | None) -> JobRecord:
    family = store.family(job_id)
    if attempt is None:
        # The first attempt has the id of the job as a whole.
        return family[-1] if family[0].job_id == job_id else store.job(job_id)
    if attempt > len(family):
        have = f"{len(family)} attempt" + ("s" if len(family) > 1 else "")
        raise CommandError(f"job {family[0].job_id} has {have}, and no attempt {attempt}")
    return family[attempt - 1]


def _grouped(elements: Sequence[ElementReport]) -> list[tuple[str, ...]]:
    """Return a row for each group of elements that are alike."""
    alike: dict[tuple[str, ...], list[int]] = {}
    for element in elements:
        state = "-" if element.state is None else element.state.value
        code = "-" if element.exit_code is None else str(element.exit_code)
        alike.setdefault((state, code, element.cause or "-"), []).append(element.index)
    return [(format_indices(indices), *facts) for facts, indices in alike.items()]


def _facts(record: JobRecord) -> Iterator[tuple[str, str]]:
    for name, value in plain(record).items():
        if value is not None and value != {}:
            yield name, clock(value) if name in _TIMES else str(value)
