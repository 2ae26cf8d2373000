"""``molq doctor``."""

from __future__ import annotations

import click

from molq.cli.output import plain, print_json, print_table
from molq.cli.targets import open_submitor, profile_of, target_options


@click.command("doctor")
@click.argument("scheduler", required=False)
@target_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(scheduler: str | None, profile: str | None, pairs: tuple[str, ...], as_json: bool) -> int:
    """Look whether molq can work with SCHEDULER, or as a profile says, and tell what each finding means.

    Exits with 1 if something needs attention.
    """
    if (scheduler is None) == (profile is None):
        raise click.UsageError("give either a scheduler or a profile with --profile")
    with open_submitor(scheduler, profile_of(profile), pairs) as submitor:
        findings = submitor.probe_site()
    if as_json:
        print_json([plain(finding) for finding in findings])
    else:
        print_table(
            ("", "WHAT", "FOUND", "MEANS"),
            [("!" if f.is_problem else "ok", f.name, f.value, f.meaning) for f in findings],
        )
    return 1 if any(finding.is_problem for finding in findings) else 0
