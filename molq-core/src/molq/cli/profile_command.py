"""``molq profile`` and its commands."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from molq.cli.output import print_json, print_table, visible
from molq.config import read_profile, why_refused
from molq.config_file import config_path
from molq.plain_problems import PlainValueError
from molq.profile_file import ProfileFile, config_error, problem_lines

if TYPE_CHECKING:
    from molq.profile_edits import Edit

_SUBMIT = "molq submit --profile NAME -- COMMAND"


@click.group("profile", no_args_is_help=False, invoke_without_command=True)
@click.pass_context
def command(context: click.Context) -> None:
    """Show and change profiles: the settings of a cluster, under a name.

    \b
    Begin with:
      molq profile init
      molq profile set gpu scheduler slurm
      molq profile set gpu defaults.resources.memory 32G
      molq submit --profile gpu -- ./simulate

    They are in ~/.molq/config.toml (MOLQ_HOME moves the folder), which you may edit too.
    """  # noqa: D301 - click takes the character \b for: leave these lines as they are
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@command.command("list", short_help="List the profiles.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_profiles(as_json: bool) -> None:
    """List the profiles, and whether each can be used."""
    file = ProfileFile.read()
    rows = [_row(name, table) for name, table in file.tables.items()]
    if as_json:
        print_json(rows)
    elif rows:
        cells = [(row["name"], row["scheduler"] or "-", row["cluster_name"] or "-", _shown_status(row)) for row in rows]
        print_table(("NAME", "SCHEDULER", "CLUSTER", "STATUS"), cells)
    else:
        begin = "molq profile init" if file.text is None else "molq profile set NAME scheduler SCHEDULER"
        click.echo(f"no profiles; begin {visible(str(file.path))} with: {begin}")
    if file.strangers:
        told = visible(str(file.error(file.strangers)), keep_lines=True)
        click.echo(f"molq: no profile can be used yet: {told}", err=True)


def _row(name: str, table: object) -> dict[str, Any]:
    try:
        profile = read_profile(name, table)
    except PlainValueError as error:
        problems = problem_lines(error.problems)
        facts = {"name": name, "scheduler": None, "cluster_name": None, "status": "; ".join(problems)}
        return {**facts, "problems": problems}
    refused = why_refused(profile)
    status = "ok" if refused is None else f"submissions are refused: {refused}"
    facts = {"name": name, "scheduler": profile.scheduler, "cluster_name": profile.cluster_name, "status": status}
    return {**facts, "problems": []}


def _shown_status(row: Mapping[str, Any]) -> str:
    problems = row["problems"]
    if len(problems) <= 1:
        return str(row["status"])
    return f"{len(problems)} mistakes; see: {shlex.join(['molq', 'profile', 'show', row['name']])}"


@command.command("show", short_help="Show all settings of a profile.")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, as_json: bool) -> None:
    """Show all settings of a profile, and whether each comes from the file or is molq's default.

    The values of environment variables are not shown, since they may be secrets.
    """
    from molq.profile_settings import settings_of

    settings = settings_of(name)
    if as_json:
        rows = {s.key: {"value": s.value, "from": "file" if s.is_set else "default"} for s in settings}
        print_json({"name": name, "file": str(config_path()), "settings": rows})
        return
    shown = [s for s in settings if s.is_set or s.value not in (None, [])]
    print_table(("KEY", "VALUE", "FROM"), [(s.key, _text(s.value), "file" if s.is_set else "default") for s in shown])


@command.command(
    "set",
    short_help="Set one key of a profile.",
    # A negative number, or a flag for the scheduler, is a value.
    context_settings={"ignore_unknown_options": True},
)
@click.argument("name")
@click.argument("key")
@click.argument("value")
def set_value(name: str, key: str, value: str) -> None:
    """Set one KEY of a profile, such as defaults.resources.memory, to VALUE.

    A profile begins with its scheduler. Commas separate the parts of a list, or it is written in brackets as in
    the file. Comments and the order of the file stay as they are.

    \b
    Examples:
      molq profile set gpu scheduler slurm
      molq profile set gpu defaults.resources.time_limit 4h
      molq profile set gpu scheduler_options.extra_sbatch_flags --constraint=icelake,--nice
    """  # noqa: D301 - as above
    from molq.profile_edits import set_key

    edit = set_key(name, key, value)
    shown = "(not shown)" if edit.is_secret else visible(_text(edit.value))
    click.echo(f"{visible(str(edit.path))}: {visible(name)}: {visible(key)} = {shown}")
    _warn(edit)


@command.command("unset", short_help="Take a key out of a profile, or a profile out of the file.")
@click.argument("name")
@click.argument("key", required=False)
def unset(name: str, key: str | None) -> None:
    """Take one KEY out of a profile, so that its default holds; without a KEY, the whole profile."""
    from molq.profile_edits import unset_key

    edit = unset_key(name, key)
    what = f"{visible(name)}: {visible(key)} is not set any more" if key else f"{visible(name)} is gone"
    click.echo(f"{visible(str(edit.path))}: {what}")
    _warn(edit)


@command.command("init", short_help="Write a file to begin with.")
def init() -> None:
    """Write a file to begin with, with a profile for each installed scheduler. A file that is there is left alone."""
    from molq.cli.profile_template import starting_text
    from molq.profile_edits import begin_file

    place = begin_file(starting_text())
    click.echo(f"wrote {visible(str(place))}; edit it, look at it with: molq profile list, and use it with: {_SUBMIT}")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _warn(edit: Edit) -> None:
    if edit.left:
        error = config_error(edit.path, edit.left)
        click.echo(f"molq: the profile cannot be used yet: {visible(str(error), keep_lines=True)}", err=True)
