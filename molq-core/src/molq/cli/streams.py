"""Cope with standard streams that are closed, or that take no more."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO


class OutputLostError(Exception):
    """Standard output does not take what a command has to say.

    Attributes:
        problem: why.
        job_ids: jobs that were submitted, of which nobody has heard.
    """

    def __init__(self, problem: OSError, job_ids: Sequence[str] = ()) -> None:
        why = "it is closed" if problem.errno == errno.EBADF else problem.strerror
        super().__init__(f"cannot write to standard output: {why}")
        self.problem = problem
        self.job_ids = tuple(job_ids)


class _Output:
    """Standard output, whose errors are told from those of other files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _told_apart():
            return self._stream.write(text)

    def flush(self) -> None:
        with _told_apart():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _told_apart() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputLostError(error) from error


def prepare_streams() -> None:
    """Have errors of standard output raised as such, and put something in the place of streams that are closed.

    Else the next file that is opened would be one of them. What is written to standard output then fails, so that it is
    known to be lost; what is written to standard error is lost. ``sys.stdin`` stays None: to read nothing is not the
    same as to have nothing to read.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # Standard output is opened for reading too, so that writing to it fails as if it were closed.
            os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115 - it is open to the end
    stream = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115 - as above
    sys.stdout = _Output(stream)


def drop_what_is_left() -> None:
    """Drop what the streams did not take, or Python would try once more at its end, complain, and exit with 120."""
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except (OutputLostError, OSError):
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


@contextmanager
def submitted(job_ids: Sequence[str]) -> Iterator[None]:
    """Print what there is to say of jobs that were just submitted.

    Raises:
        OutputLostError: it cannot be printed. It names the jobs: who does not hear of one might submit it again.
    """
    try:
        yield
    except OutputLostError as error:
        raise OutputLostError(error.problem, job_ids) from error


def tell(sentence: str) -> None:
    """Print a line on standard error; nobody can be told if that fails too."""
    with suppress(OSError):
        print(sentence, file=sys.stderr, flush=True)
