"""The errors that molq raises. Each carries the facts of its sentence as fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from molq.job_state import JobState

_MOST_NAMED = 5


class MolqError(Exception):
    """The base of every error that molq raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Let a copy, or another process, have the error with its fields: by default only the message would travel."""
        return _restore, (type(self), self.args, self.__dict__)


def _restore(kind: type[MolqError], args: tuple[Any, ...], fields: dict[str, Any]) -> MolqError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error


class ConfigError(MolqError):
    """A setting of a ``Submitor``, a profile or a request cannot be used."""


class ConfigFileError(ConfigError):
    """The file of profiles, or a profile in it, cannot be used.

    Attributes:
        path: the file.
        problems: a sentence for each thing that is wrong with it, which begins with the key in question.
    """

    def __init__(self, message: str, *, path: Path, problems: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.path = path
        self.problems = tuple(problems)


class OptionsTypeError(ConfigError, TypeError):
    """``scheduler_options`` are of another scheduler's class."""


class ExclusiveFieldsError(ConfigError, ValueError):
    """Two parts of one request exclude each other; a ``ValueError`` too, as where a value of both is made."""


class BackendError(ConfigError):
    """A scheduler's backend is missing, cannot be loaded or broke the contract.

    Attributes:
        scheduler: the name of the scheduler that was asked for.
        distribution: the installed package and version at fault, where there is one.
    """

    def __init__(self, message: str, *, scheduler: str, distribution: str | None = None) -> None:
        super().__init__(message)
        self.scheduler = scheduler
        self.distribution = distribution


class UnsupportedFieldsError(ConfigError):
    """A request uses fields that the scheduler cannot express.

    Attributes:
        scheduler: the name of the scheduler.
        fields: the names of the fields, in the order of the reference.
    """

    def __init__(self, message: str, *, scheduler: str, fields: tuple[str, ...]) -> None:
        super().__init__(message)
        self.scheduler = scheduler
        self.fields = fields


class SubmitError(MolqError):
    """The job was surely not submitted.

    Attributes:
        job_id: the job's id, if it was recorded.
        scheduler: the name of the scheduler.
        reply: the scheduler's own words, if it said any.
    """

    def __init__(self, message: str, *, scheduler: str, job_id: str | None = None, reply: str | None = None) -> None:
        super().__init__(message)
        self.scheduler = scheduler
        self.job_id = job_id
        self.reply = reply


class CommandError(MolqError, ValueError):
    """What should be run is specified wrongly."""


class ScriptError(MolqError):
    """The script's path is invalid, or the job's files cannot be prepared.

    Attributes:
        path: the file or folder in question.
    """

    def __init__(self, message: str, *, path: Path | None = None) -> None:
        super().__init__(message)
        self.path = path


class SchedulerError(MolqError):
    """The scheduler could not be asked, or did not do what it was asked to."""


class CommandFailedError(SchedulerError):
    """A scheduler's program could not be run, failed or took too long.

    Attributes:
        argv: the command.
        exit_code: its exit code; None if it did not start or did not end in time.
        stderr: what it wrote on standard error.
    """

    def __init__(self, message: str, *, argv: tuple[str, ...], exit_code: int | None = None, stderr: str = "") -> None:
        super().__init__(message)
        self.argv = argv
        self.exit_code = exit_code
        self.stderr = stderr


class CommandNotStartedError(CommandFailedError):
    """A scheduler's program was surely not run."""


class JobNotFoundError(MolqError, LookupError):
    """There is no such job, or a shortened id fits several.

    Attributes:
        job_id: the id that was asked for.
        candidates: the ids that fit, if there are several.
    """

    def __init__(self, message: str, *, job_id: str, candidates: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.job_id = job_id
        self.candidates = tuple(candidates)


class MolqTimeoutError(MolqError, TimeoutError):
    """Jobs were still active when the time to wait for them was over. The jobs go on.

    Attributes:
        timeout: the seconds that were waited.
        active: the jobs that are still active, with the state of each.
    """

    def __init__(self, message: str, *, timeout: float, active: Mapping[str, JobState]) -> None:
        super().__init__(message)
        self.timeout = timeout
        self.active = dict(active)

    @classmethod
    def naming(cls, active: Mapping[str, JobState], timeout: float) -> Self:
        """Return the error with a sentence that names some of the jobs."""
        shown = ", ".join(f"{job_id} ({state.value})" for job_id, state in list(active.items())[:_MOST_NAMED])
        more = f" and {len(active) - _MOST_NAMED} more" if len(active) > _MOST_NAMED else ""
        return cls(f"still active after {timeout:g} s: {shown}{more}; the jobs go on", timeout=timeout, active=active)


class StoreError(MolqError):
    """The database of jobs cannot be read or written. Nothing in it was changed.

    Attributes:
        path: the database file.
    """

    def __init__(self, message: str, *, path: Path) -> None:
        super().__init__(message)
        self.path = path


class UnreadableRequestError(StoreError):
    """What was once asked for is recorded in a form that cannot be read, since somebody has edited it."""
