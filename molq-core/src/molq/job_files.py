"""Read as evidence what a submission and a job's script left in the job's folder."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

import attrs

from molq.backend import CommandReply
from molq.job_script import CLAIM, EXIT, SIGNALLED, START

SUBMIT_LOCK = "submit.lock"
SUBMIT_OUT = "submit.out"
SUBMIT_ERR = "submit.err"
SUBMIT_CODE = "submit.exit"

_EXIT = re.compile(rb"(\d{1,3})(?: ([^\n]*))?\n")
_START = re.compile(rb"(\S+) (\d{1,18}) (\S+) (\d{1,9})\n")
_SUBMIT_CODE = re.compile(rb"(-?\d{1,9})\n")
_LONGEST = 64 * 1024

# A link is none of the files that are read here, and an id that makes no path names none.
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG})


class UnreadableFilesError(Exception):
    """What is in a job's folder cannot be told: that is not the same as nothing being there."""


@attrs.frozen
class ExitFile:
    """The command ended.

    Attributes:
        code: its exit code as a shell reports it.
        at: when, in seconds since the epoch.
        reason: why the script could not run the command, if it could not.
        was_signalled: whether a signal told the job to end before it did.
    """

    code: int
    at: float
    reason: str | None = None
    was_signalled: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the command ended by itself: the job's script then never runs it again."""
        return self.reason is None and not self.was_signalled


@attrs.frozen
class StartFile:
    """The script started.

    Attributes:
        scheduler_job_id: the id under which it runs.
        host: the machine.
        restarts: how often the scheduler had started it before.
        at: when, in seconds since the epoch.
    """

    scheduler_job_id: str
    host: str
    restarts: int
    at: float


@attrs.frozen
class ElementFiles:
    """Which elements of an array have left files.

    Attributes:
        started: the indices of those that have started.
        ended: the indices of those whose command has ended.
    """

    started: frozenset[int]
    ended: frozenset[int]


@attrs.frozen
class JobFiles:
    """The files in one job's folder. What is not there, or no file of the right form, is read as None.

    Attributes:
        path: the folder.
    """

    path: Path

    def exists(self) -> bool:
        """Tell whether the folder is there.

        Raises:
            UnreadableFilesError: that cannot be told.
        """
        try:
            return stat.S_ISDIR(os.stat(self.path).st_mode)
        except OSError as error:
            check_is_missing(error)
            return False

    def submission_is_under_way(self) -> bool:
        """Tell whether this job's submitter, or the command it started, still lives.

        Raises:
            UnreadableFilesError: that cannot be told.
        """
        try:
            descriptor = os.open(self.path / SUBMIT_LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            check_is_missing(error)
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # the file system knows no locks
            return False
        finally:
            os.close(descriptor)
        return False

    def read_submit_reply(self) -> CommandReply | None:
        """Return what the submit command answered, as far as it is on disk.

        Raises:
            UnreadableFilesError: it cannot be told.
        """
        out = self._read(SUBMIT_OUT)
        if out is None:
            return None
        error, code = self._read(SUBMIT_ERR), self._read(SUBMIT_CODE)
        number = _SUBMIT_CODE.fullmatch(code[0]) if code else None
        return CommandReply(
            exit_code=int(number[1]) if number else None,
            stdout=out[0].decode(errors="replace"),
            stderr=error[0].decode(errors="replace") if error else "",
        )

    def read_exit(self, element: int | None = None) -> ExitFile | None:
        """Return how the command ended, if that is written.

        Raises:
            UnreadableFilesError: it cannot be told.
        """
        found = self._read(EXIT if element is None else f"{EXIT}.{element}")
        match = _EXIT.fullmatch(found[0]) if found else None
        if not found or not match:
            return None
        told = match[2].decode(errors="replace") if match[2] else None
        if told == SIGNALLED:
            return ExitFile(code=int(match[1]), at=found[1], was_signalled=True)
        return ExitFile(code=int(match[1]), at=found[1], reason=told)

    def read_start(self, element: int | None = None) -> StartFile | None:
        """Return where and as what the script started, if it did.

        Raises:
            UnreadableFilesError: it cannot be told.
        """
        found = self._read(START if element is None else f"{START}.{element}")
        match = _START.fullmatch(found[0]) if found else None
        if not found or not match:
            return None
        run, _pid, host, restarts = (group.decode(errors="replace") for group in match.groups())
        return StartFile(scheduler_job_id=run, host=host, restarts=int(restarts), at=found[1])

    def read_elements(self) -> ElementFiles:
        """Return which elements of an array have left files.

        Raises:
            UnreadableFilesError: it cannot be told.
        """
        try:
            names = os.listdir(self.path)
        except OSError as error:
            check_is_missing(error)
            names = []
        return ElementFiles(started=_indices(names, f"{START}."), ended=_indices(names, f"{EXIT}."))

    def read_claim(self) -> str | None:
        """Return the scheduler's id of the run that has claimed the job.

        Raises:
            UnreadableFilesError: it cannot be told.
        """
        try:
            return os.readlink(self.path / CLAIM)
        except OSError as error:
            if error.errno != errno.EINVAL:  # it is no link
                check_is_missing(error)
            return None

    def _read(self, name: str) -> tuple[bytes, float] | None:
        descriptor = -1
        try:
            descriptor = os.open(f"{self.path}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            status = os.fstat(descriptor)
            return (os.read(descriptor, _LONGEST), status.st_mtime) if stat.S_ISREG(status.st_mode) else None
        except OSError as error:
            check_is_missing(error)
            return None
        finally:
            if descriptor >= 0:
                os.close(descriptor)


def may_have_ended(job_dir: str) -> bool:
    """Tell whether there is an exit file in a job's folder; as cheaply as can be, since polls ask it of thousands."""
    return os.path.exists(f"{job_dir}/{EXIT}")


def _indices(names: Sequence[str], prefix: str) -> frozenset[int]:
    tails = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return frozenset(int(tail) for tail in tails if tail.isascii() and tail.isdigit() and len(tail) < 10)


def check_is_missing(error: OSError) -> None:
    """Return if the error says that there is no such file.

    Raises:
        UnreadableFilesError: it says something else.
    """
    if error.errno not in _NOT_THERE:
        raise UnreadableFilesError(f"cannot read {error.filename!r}: {error.strerror}") from error
