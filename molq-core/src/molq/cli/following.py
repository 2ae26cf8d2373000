"""Print files as they grow."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Callable, Sequence
from typing import Protocol, TextIO

from molq.cli.output import visible
from molq.errors import MolqTimeoutError
from molq.records import JobRecord
from molq.submitor import Submitor

_TURN_SECONDS = 0.1
_BLOCK = 64 * 1024


class Reader(Protocol):
    """Copies what grows."""

    def pump(self) -> None:
        """Copy what is new since the last call."""


class LogReader:
    """Copies what is new in a file to a stream.

    Args:
        path: the file, which may not be there yet.
        stream: where its text goes.
        raw: whether control characters are passed on.

    Attributes:
        position: how many bytes of it were copied or left out.
        was_found: whether it could be opened.
        problem: why it could not, unless it is not there yet.
    """

    def __init__(self, path: str, stream: TextIO, *, raw: bool) -> None:
        self._path = path
        self._stream = stream
        self._raw = raw
        self.position = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.was_found = False
        self.problem: str | None = None

    def skip_to_last(self, lines: int) -> None:
        """Leave out all but the last ``lines`` lines that are there now."""
        try:
            with open(self._path, "rb") as file:
                end = position = file.seek(0, 2)
                tail = b""
                while position > 0 and tail.rstrip(b"\n").count(b"\n") < lines:
                    step = min(_BLOCK, position)
                    position -= step
                    file.seek(position)
                    tail = file.read(step) + tail
        except OSError:
            return
        # Not splitlines(), to which each step of a progress bar, which ends in a carriage return, is a line.
        kept = b"".join(io.BytesIO(tail).readlines()[-lines:]) if lines else b""
        self.position = end - len(kept)

    def pump(self) -> None:
        """Copy what has been written since the last call."""
        try:
            file = open(self._path, "rb")  # noqa: SIM115 - the with below closes it
        except OSError as error:
            self.problem = None if isinstance(error, FileNotFoundError) else error.strerror
            return
        with file:
            self.was_found = True
            file.seek(self.position)
            while block := file.read(_BLOCK):
                self.position += len(block)
                text = self._decoder.decode(block)
                self._stream.write(text if self._raw else visible(text, keep_lines=True))
        self._stream.flush()


def follow(
    submitor: Submitor,
    job_id: str,
    readers_of: Callable[[JobRecord], Sequence[Reader]],
    is_enough: Callable[[], bool] = lambda: False,
) -> JobRecord:
    """Copy the logs of a job and of its further attempts until it is over, and return the last one's record.

    Args:
        submitor: knows the job.
        job_id: the job.
        readers_of: returns what reads the logs of an attempt.
        is_enough: tells whether nothing more will be written, although the job is not over.
    """
    attempt = submitor.get_latest(job_id)
    readers = readers_of(attempt)
    while True:
        record: JobRecord | None
        try:
            (record,) = submitor.watch([job_id], timeout=_TURN_SECONDS)
        except MolqTimeoutError:
            record = submitor.get(attempt.job_id) if is_enough() else None
        _pump(readers)
        for later in submitor.get_retry_family(job_id)[attempt.attempt :]:
            last = submitor.get(attempt.job_id)
            why = f" ({last.failure_reason})" if last.failure_reason else ""
            print(
                f"molq: attempt {last.attempt} is {last.state.value}{visible(why)}; here is the next", file=sys.stderr
            )
            attempt, readers = later, readers_of(later)
            _pump(readers)
        if record is not None:
            return record


def _pump(readers: Sequence[Reader]) -> None:
    for reader in readers:
        reader.pump()
