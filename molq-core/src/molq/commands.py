"""Run a scheduler's programs, with one wording for every way in which they fail."""

from __future__ import annotations

import fnmatch
import functools
import os
import re
import select
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from molq.backend import BackendDescription, CommandReply, SubmitUnconfirmed
from molq.errors import CommandFailedError, CommandNotStartedError
from molq.job_files import SUBMIT_CODE, SUBMIT_ERR, SUBMIT_OUT, UnreadableFilesError
from molq.job_folder import SUBMIT_IN, JobFolder

RUN_TIMEOUT = 60.0
SUBMIT_TIMEOUT = 120.0
LONGEST_OUTPUT = 256 * 1024 * 1024
"""How many bytes a program may write before it is taken for one that never ends."""

_BLOCK = 64 * 1024
_LONGEST_SHOWN = 200


class SystemCommands:
    """Runs programs on this machine, in sessions of their own so that Ctrl-C does not reach them.

    Args:
        description: says which variables the programs must not inherit.
        environment: the variables to start from.
        folder: the job's folder, if a job is being submitted.
        lock: the descriptor of the job's submit lock.
    """

    def __init__(
        self,
        description: BackendDescription,
        environment: Mapping[str, str],
        *,
        folder: JobFolder | None = None,
        lock: int | None = None,
    ) -> None:
        self._environment = _scrubbed(environment, description)
        self._folder = folder
        self._lock = lock

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables that programs inherit."""
        return self._environment

    def run(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float | None = None) -> CommandReply:
        """Run a program that only asks or may be repeated; see ``molq.backend.Commands``."""
        limit = RUN_TIMEOUT if timeout is None else timeout
        text = b"" if stdin is None else os.fsencode(stdin)
        process = _start(
            self._located(argv),
            {**self._environment, "LC_ALL": "C"},
            subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            (subprocess.PIPE, subprocess.PIPE),
        )
        try:
            out, error = _exchange(process, text, time.monotonic() + limit)
        except subprocess.TimeoutExpired as expired:
            raise CommandFailedError(f"{_shown(argv)} did not answer within {limit:g} s", argv=tuple(argv)) from expired
        except _TooMuchError as too_much:
            raise CommandFailedError(
                f"{_shown(argv)} wrote more than {LONGEST_OUTPUT // 2**20} MiB, and was ended", argv=tuple(argv)
            ) from too_much
        finally:
            _kill(process)
        return CommandReply(
            exit_code=process.returncode, stdout=out.decode(errors="replace"), stderr=error.decode(errors="replace")
        )

    def submit(self, argv: Sequence[str], *, stdin: str | None = None, timeout: float | None = None) -> CommandReply:
        """Run the program that submits the job; see ``molq.backend.Commands``.

        LC_ALL stays the user's: most schedulers hand the program's variables on to the job.
        """
        if self._folder is None or self._lock is None:
            raise CommandNotStartedError(f"{_shown(argv)} was called outside of a submission", argv=tuple(argv))
        limit = SUBMIT_TIMEOUT if timeout is None else timeout
        located = self._located(argv)
        with _submit_files(self._folder, argv, stdin) as (source, replies):
            process = _start(located, self._environment, source, replies, lock=self._lock)
        try:
            _wait(process, limit)
        except subprocess.TimeoutExpired as expired:
            # It is not killed, but somebody has to take note when it ends.
            threading.Thread(target=process.wait, daemon=True).start()
            raise SubmitUnconfirmed(f"{_shown(argv)} did not answer within {limit:g} s") from expired
        with suppress(OSError):
            self._folder.write(SUBMIT_CODE, f"{process.returncode}\n".encode())
        try:
            reply = self._folder.read_submit_reply()
        except UnreadableFilesError as error:
            raise SubmitUnconfirmed(f"the reply of {_shown(argv)} cannot be read: {error}") from error
        if reply is None:
            raise SubmitUnconfirmed(f"the reply of {_shown(argv)} in {str(self._folder.path)!r} is gone")
        return reply

    def _located(self, argv: Sequence[str]) -> list[str]:
        program = shutil.which(argv[0], path=self._environment.get("PATH", os.defpath))
        if program is None:
            raise CommandNotStartedError(
                f"the program {argv[0]!r} was not found; is it installed on this machine, and in PATH?",
                argv=tuple(argv),
            )
        return [program if os.path.isabs(program) else str(Path(program).absolute()), *argv[1:]]


class _TooMuchError(Exception):
    """A program wrote more than anybody wants to read."""


@contextmanager
def _submit_files(folder: JobFolder, argv: Sequence[str], stdin: str | None) -> Iterator[tuple[int, tuple[int, int]]]:
    """Give what a submit command reads and the two files that it writes.

    It reads from a file, not from a pipe: if this process died, a pipe would end in the middle of the script.
    """
    with ExitStack() as files:
        try:
            replies = tuple(_new_file(f"{folder.path}/{name}", files) for name in (SUBMIT_OUT, SUBMIT_ERR))
            source = subprocess.DEVNULL
            if stdin is not None:
                path = folder.write(SUBMIT_IN, os.fsencode(stdin))
                source = files.enter_context(path.open("rb")).fileno()
        except FileExistsError as error:
            # The first command may have been heard.
            raise SubmitUnconfirmed(
                f"{_shown(argv)} is the second command of one submission; it was not run"
            ) from error
        except OSError as error:
            raise CommandNotStartedError(
                f"{_shown(argv)} was not run: its reply cannot be kept in {str(folder.path)!r}: {error.strerror}",
                argv=tuple(argv),
            ) from error
        yield source, (replies[0], replies[1])


def _new_file(path: str, files: ExitStack) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    files.callback(os.close, descriptor)
    return descriptor


def _start(
    argv: Sequence[str],
    environment: Mapping[str, str],
    source: int,
    replies: tuple[int, int],
    *,
    lock: int | None = None,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - argv is a list that a backend built, and no shell reads it
            argv,
            stdin=source,
            stdout=replies[0],
            stderr=replies[1],
            env=environment,
            pass_fds=() if lock is None else (lock,),
            start_new_session=True,
        )
    except (OSError, ValueError) as problem:
        # A ValueError is about an argument with a NUL character.
        what = problem.strerror if isinstance(problem, OSError) else problem
        raise CommandNotStartedError(f"{_shown(argv)} could not be started: {what}", argv=tuple(argv)) from problem


def _exchange(process: subprocess.Popen[bytes], text: bytes, deadline: float) -> tuple[bytes, bytes]:
    """Return what a program writes on standard output and standard error, and let it read ``text`` meanwhile.

    Raises:
        subprocess.TimeoutExpired: it goes on after ``deadline``.
        _TooMuchError: it writes more than ``LONGEST_OUTPUT``.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    written: dict[IO[bytes], bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    unread = memoryview(text)
    with selectors.DefaultSelector() as selector:
        for stream in written:
            selector.register(stream, selectors.EVENT_READ)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            for key, _ in selector.select(_left(process, deadline)):
                stream = key.fileobj  # type: ignore[assignment]  # only streams were registered
                if stream is process.stdin:
                    unread = _feed(stream, unread)
                    is_over = not unread
                else:
                    block = os.read(key.fd, _BLOCK)
                    written[stream] += block
                    is_over = not block
                if is_over:
                    selector.unregister(stream)
                    stream.close()
            if sum(map(len, written.values())) > LONGEST_OUTPUT:
                raise _TooMuchError
    _wait(process, _left(process, deadline))
    return bytes(written[process.stdout]), bytes(written[process.stderr])


def _feed(stream: IO[bytes], unread: memoryview) -> memoryview:
    """Write as much as the pipe takes and return the rest; a program need not read all that it is given."""
    try:
        return unread[os.write(stream.fileno(), unread) :]
    except BlockingIOError:
        return unread
    except BrokenPipeError:
        return unread[len(unread) :]


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for the end of a program.

    Raises:
        subprocess.TimeoutExpired: it goes on after ``seconds``.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # before Linux 5.3
        process.wait(seconds)
        return
    # Popen.wait looks now and then, at ever longer intervals, and so is late by up to half of what the program takes.
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        has_ended = poll.poll(max(0.0, seconds) * 1000)
    finally:
        os.close(descriptor)
    if not has_ended:
        raise subprocess.TimeoutExpired(process.args, seconds)
    process.wait()


def _left(process: subprocess.Popen[bytes], deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise subprocess.TimeoutExpired(process.args, 0)
    return left


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program that still runs, with all that it has started, and let go of its pipes."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _scrubbed(environment: Mapping[str, str], description: BackendDescription) -> dict[str, str]:
    is_dropped = _matcher(description.dropped_variables)
    is_kept = _matcher(description.kept_variables)
    return {name: value for name, value in environment.items() if not is_dropped(name) or is_kept(name)}


@functools.cache
def _matcher(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """Return what tells whether a name fits one of some shell patterns."""
    # A set without characters fits no name at all.
    return re.compile("|".join(map(fnmatch.translate, patterns)) or "[^\\W\\w]").match


def _shown(argv: Sequence[str]) -> str:
    text = " ".join(argv)
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…")
