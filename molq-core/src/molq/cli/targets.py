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
        """Double the first ``--``: click takes one of the two away.

        Raises:
            UsageError: a command begins before the dashes, so that its options would be taken for molq's.
        """
        at = args.index(_DASHES) if _DASHES in args else len(args)
        before, behind = args[:at], args[at + 1 :]
        self._check_words(ctx, before, behind)
        return super().parse_args(ctx, [*before, *([_DASHES, _DASHES] if at < len(args) else []), *behind])

    def _check_words(self, ctx: click.Context, before: list[str], behind: list[str]) -> None:
        options, words = self._until_word(ctx, before)
        has_profile = options.get("profile") is not None
        if words and not has_profile:
            more, words = self._until_word(ctx, words[1:])
            if more.get("profile") is not None:
                # A scheduler too many, which split_words tells.
                return
            options["env"] = [*options.get("env", ()), *more.get("env", ())]
        if not words or (has_profile and behind):
            return
        typed = before[: len(before) - len(words)]
        for pair in options.get("env", ()):
            # The value may be a secret.
            typed = [text.replace(pair, f"{pair.partition('=')[0]}=…") for text in typed]
        right = shlex.join(["molq", "submit", *typed, _DASHES, *words, *behind])
        raise click.UsageError(f"the command stands behind --, and {words[0]!r} before it; try: {right}", ctx=ctx)

    def _until_word(self, ctx: click.Context, args: list[str]) -> tuple[dict[str, Any], list[str]]:
        """Return the options before the first word, and the words from there on."""
        parser = self.make_parser(ctx)
        parser.allow_interspersed_args = False
        options, _, _ = parser.parse_args([*args])
        words = options.pop("words", None)
        # Without words, click says so by None or, since 8.3, by a value of its own.
        return options, [*words] if isinstance(words, tuple | list) else []


def target_options(command: _Command) -> _Command:
    """Give a command the options that say where it goes."""
    for option in (
        click.option(
            "-o",
            "--option",
            "pairs",
            multiple=True,
            metavar="KEY=VALUE",
            help="Set an option of the backend; repeatable. An unknown KEY is answered with those there are.",
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
        return before[0], behind
    if before:
        right = shlex.join(["molq", "submit", "--profile", profile, _DASHES, *(behind or ("COMMAND",))])
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
