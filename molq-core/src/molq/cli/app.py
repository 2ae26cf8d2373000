"""The group of commands, each imported only when it is called, and how errors reach people."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import click

from molq import __version__
from molq.cli.exit_codes import FAILURE, INTERRUPTED, MISUSE, UNCONFIRMED
from molq.cli.streams import OutputLostError, drop_what_is_left, prepare_streams, tell
from molq.errors import CommandError, ConfigError, ConfigFileError, JobNotFoundError, MolqError, ScriptError

_COMMANDS = {
    "submit": "Submit a job.",
    "list": "List jobs.",
    "status": "Show where jobs are.",
    "watch": "Wait until jobs are over.",
    "logs": "Print what a job wrote.",
    "inspect": "Show all that is known of a job.",
    "history": "Show what became of jobs, with all their attempts.",
    "cancel": "Cancel jobs.",
    "retry": "Try jobs again that are over.",
    "daemon": "Look after all jobs until stopped.",
    "profile": "Show and change profiles: settings under a name.",
    "cleanup": "Delete the folders and records of jobs that ended long ago.",
    "doctor": "Look whether a scheduler can be used here.",
    "backends": "List the installed schedulers.",
}


class _LazyGroup(click.Group):
    """Knows its commands' names and summaries without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"molq.cli.{cmd_name}_command").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="molq %(version)s")
@click.pass_context
def molq(context: click.Context) -> None:
    """Submit batch jobs to Slurm, PBS, LSF or this machine, and follow them.

    \b
    Try:
      molq submit local --block -- echo "hello from molq"
      molq list --all

    Jobs are remembered in ~/.molq/jobs.db (MOLQ_HOME moves the folder). A job's id may be shortened to any
    beginning that fits no other job.
    """  # noqa: D301 - click takes the character \b for: leave these lines as they are
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code: 0 done, 1 failed, 2 misused, 75 not to be submitted again."""
    prepare_streams()
    try:
        code = int(molq.main(list(arguments), prog_name="molq", standalone_mode=False) or 0)
        sys.stdout.flush()
        return code
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        return _explain_usage(error)
    except (click.Abort, KeyboardInterrupt):
        tell("molq: interrupted")
        return INTERRUPTED
    except OutputLostError as error:
        return _explain_lost_output(error)
    except (MolqError, ValueError) as error:
        return _explain(error)
    finally:
        drop_what_is_left()


def _explain_usage(error: click.ClickException) -> int:
    context = getattr(error, "ctx", None)
    hint = f"; see: {context.command_path} --help" if context is not None else ""
    tell(f"molq: error: {error.format_message().rstrip('.')}{hint}")
    return error.exit_code


def _explain_lost_output(error: OutputLostError) -> int:
    for job_id in error.job_ids:
        tell(
            f"molq: error: {error}; job {job_id} was submitted all the same, so do not submit it again; "
            f"see: molq status {job_id}"
        )
    if error.job_ids:
        return UNCONFIRMED
    # Whoever reads a pipe and leaves has enough of it.
    if not isinstance(error.problem, BrokenPipeError):
        tell(f"molq: error: {error}")
    return FAILURE


def _explain(error: Exception) -> int:
    from molq.cli.output import visible

    misuses = (ConfigError, CommandError, ScriptError, JobNotFoundError)
    # The mistakes in a file are told one a line.
    tell(f"molq: error: {visible(str(error), keep_lines=isinstance(error, ConfigFileError))}")
    return MISUSE if isinstance(error, misuses) or not isinstance(error, MolqError) else FAILURE
