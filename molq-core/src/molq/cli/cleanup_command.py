"""``molq cleanup``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import attrs
import click

from molq.cleanup import Cleaned, clean_up
from molq.cli.jobs import check_cluster_is_known
from molq.cli.numbers import WholeNumber
from molq.cli.output import print_json, show_warnings, size, visible
from molq.policies import RetentionPolicy
from molq.profile_retention import retention_of
from molq.store import JobStore


@click.command("cleanup")
@click.option("--cluster", "-c", metavar="NAME", help="Clean up only this cluster's jobs; default: all clusters.")
@click.option("--dry-run", is_flag=True, help="Do nothing, and print what would be done.")
@click.option(
    "--keep-job-dirs-days",
    metavar="N",
    type=WholeNumber(0),
    help="Keep the folders of jobs that ended in the last N days; default: as the profiles say, or 30.",
)
@click.option(
    "--keep-records-days",
    metavar="N",
    type=WholeNumber(0),
    help="Keep the records of jobs that ended in the last N days, and of those whose folder stays; default: as the "
    "profiles say, or 90.",
)
@click.option("--delete-failed", is_flag=True, help="Delete folders of jobs that did not succeed before their record.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    cluster: str | None,
    dry_run: bool,
    keep_job_dirs_days: int | None,
    keep_records_days: int | None,
    delete_failed: bool,
    as_json: bool,
) -> int:
    """Delete the folders and records of jobs that ended long ago. Active jobs, and what they need, stay.

    How long ago is what the profiles of a cluster say, or else molq's default; the options here win.

    Exits with 1 if a folder could not be deleted; the next cleanup tries again.
    """
    show_warnings()
    typed = {
        "keep_job_dirs_for_days": keep_job_dirs_days,
        "keep_terminal_records_for_days": keep_records_days,
        "keep_failed_job_dirs": False if delete_failed else None,
    }
    store = JobStore()
    if cluster is not None:
        check_cluster_is_known(store, cluster)
    names = store.cluster_names() if cluster is None else [cluster]
    # All of them first: a mistake in a profile is told before anything is deleted.
    policies = {name: _policy(name, typed) for name in names}
    cleaned = Cleaned()
    for name, policy in policies.items():
        cleaned.count_in(clean_up(store, policy, time.time(), cluster_name=name, dry_run=dry_run))
    if as_json:
        print_json({"job_dirs": cleaned.job_dirs, "records": cleaned.records, "freed_bytes": cleaned.freed_bytes})
    else:
        _print(cleaned, dry_run=dry_run)
    return 1 if cleaned.kept else 0


def _policy(cluster_name: str, typed: Mapping[str, int | bool | None]) -> RetentionPolicy:
    changes: dict[str, Any] = {name: value for name, value in typed.items() if value is not None}
    return attrs.evolve(retention_of(cluster_name), **changes)


def _print(cleaned: Cleaned, *, dry_run: bool) -> None:
    for path in cleaned.job_dirs:
        click.echo(f"folder  {visible(path)}")
    for job_id in cleaned.records:
        click.echo(f"record  {visible(job_id)}")
    if not cleaned.job_dirs and not cleaned.records:
        click.echo("nothing to clean up")
        return
    what = f"{_number(cleaned.job_dirs, 'folder')} and {_number(cleaned.records, 'record')}"
    click.echo(f"would delete {what}" if dry_run else f"deleted {what}; freed {size(cleaned.freed_bytes)}")


def _number(things: list[str], name: str) -> str:
    return f"{len(things)} {name}" + ("" if len(things) == 1 else "s")
