"""``molq backends``."""

from __future__ import annotations

import click

from molq.cli.output import print_json, print_table
from molq.discovery import InstalledBackend, installed_backends, load_backend
from molq.errors import BackendError


@click.command("backends")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """List the installed schedulers, and whether each backend works with this molq."""
    rows = [
        {
            "scheduler": installed.scheduler,
            "distribution": installed.package,
            "version": installed.version,
            "status": _status(installed, installed_backends()),
        }
        for installed in installed_backends()
    ]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(("SCHEDULER", "DISTRIBUTION", "VERSION", "STATUS"), [tuple(row.values()) for row in rows])
    else:
        click.echo("no scheduler is installed; install one, such as: pip install molq-local")


def _status(installed: InstalledBackend, all_installed: tuple[InstalledBackend, ...]) -> str:
    try:
        load_backend(installed.scheduler, all_installed)
    except BackendError as error:
        return str(error)
    return "ok"
