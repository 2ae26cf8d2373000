"""``molq doctor``."""

from __future__ import annotations

import click

from molq.cli.output import plain, print_json, print_table
from molq.scheduler_options import parse_options
from molq.submitor import Submitor


@click.command("doctor")
@click.argument("scheduler")
@click.option("-o", "--option", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an option of the backend.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(scheduler: str, pairs: tuple[str, ...], as_json: bool) -> int:
    """Look whether molq can work with SCHEDULER here, and tell what each finding means.

    Exits with 1 if something needs attention.
    """
    with Submitor(scheduler, scheduler, scheduler_options=parse_options(scheduler, pairs)) as submitor:
        findings = submitor.probe_site()
    if as_json:
        print_json([plain(finding) for finding in findings])
    else:
        print_table(
            ("", "WHAT", "FOUND", "MEANS"),
            [("!" if f.is_problem else "ok", f.name, f.value, f.meaning) for f in findings],
        )
    return 1 if any(finding.is_problem for finding in findings) else 0
