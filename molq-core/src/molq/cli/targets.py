"""Tell where a command line wants to go: to a scheduler, or to where a profile says."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from molq.scheduler_options import parse_options
from molq.submitor import Submitor

if TYPE_CHECKING:
    from molq.config import MolqProfile

_Command = TypeVar("_Command", bound=Callable[..., Any])

_DASHES = "--"


class CommandBehindDashes(click.Command):
    """Keeps the ``--`` that click would drop, so that a scheduler before it is told from a command behind it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Double the first ``--``: click takes one of the two away."""
        at = args.index(_DASHES) + 1 if _DASHES in args else len(args)
        return super().parse_args(ctx, [*args[:at], *([_DASHES] if at < len(args) else []), *args[at:]])


def target_options(command: _Command) -> _Command:
    """Give a command the options that say where it goes."""
    for option in (
        click.option(
            "-o", "--option", "pairs", multiple=True, metavar="KEY=VALUE", help="Set an option of the backend."
        ),
        click.option("--profile", "-p", metavar="NAME", help="Use the settings of this profile (see: molq profile)."),
    ):
        command = option(command)
    return command


def split_words(words: Sequence[str], profile: str | None) -> tuple[str | None, tuple[str, ...]]:
    """Return the scheduler, which is None with a profile, and the command.

    Raises:
        UsageError: there is neither a scheduler nor a profile, or there are both.
    """
    at = words.index(_DASHES) if _DASHES in words else len(words)
    before, behind = tuple(words[:at]), tuple(words[at + 1 :])
    if profile is None:
        if not before:
            raise _misuse("name a scheduler, or a profile with --profile")
        return before[0], (*before[1:], *behind)
    if before:
        right = shlex.join(["molq", "submit", "--profile", profile, _DASHES, *(behind or before)])
        raise _misuse(f"a profile says which scheduler, so {before[0]!r} has no place before --; try: {right}")
    return None, behind


def _misuse(sentence: str) -> click.UsageError:
    return click.UsageError(sentence, ctx=click.get_current_context(silent=True))


def profile_of(name: str | None) -> MolqProfile | None:
    """Return the profile that a command line names, if it does.

    Raises:
        ConfigError: there is no such profile, or it has a mistake.
    """
    if name is None:
        return None
    from molq.config import load_profile

    return load_profile(name)


def open_submitor(
    scheduler: str | None, profile: MolqProfile | None, pairs: Sequence[str], cluster: str | None = None
) -> Submitor:
    """Return a Submitor for a scheduler or a profile, over which the ``KEY=VALUE`` pairs win one by one.

    Raises:
        ConfigError: a setting cannot be used.
    """
    if profile is None:
        assert scheduler is not None
        name = scheduler if cluster is None else cluster
        return Submitor(name, scheduler, scheduler_options=parse_options(scheduler, pairs))
    options = parse_options(profile.scheduler, pairs, profile.scheduler_options)
    return Submitor.from_profile(profile, cluster_name=cluster, scheduler_options=options)
