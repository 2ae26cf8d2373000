"""Start the process of one job."""

from __future__ import annotations

import errno
import os
import signal

from molq_local import job_files
from molq_local.job_files import DuplicateRunError
from molq_local.queue_ledger import Job

_SHELL = b"/bin/sh"
# All that the agent ignores.
_RESET_SIGNALS = (signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ)
# O_NONBLOCK, or a pipe without a reader as the log would stop the agent.
_LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK


class LaunchError(Exception):
    """The job cannot be started.

    Attributes:
        cause: a word for what went wrong.
        is_passing: whether it may well work in a moment.
    """

    def __init__(self, message: str, *, cause: str = "launch", is_passing: bool = False) -> None:
        super().__init__(message)
        self.cause = cause
        self.is_passing = is_passing


class AlreadyStartedError(Exception):
    """The job's folder shows that it was started before."""


class Launcher:
    """Starts jobs; remembers the last environment, which most jobs share."""

    __slots__ = ("_content", "_variables")

    def __init__(self) -> None:
        self._content = b""
        self._variables: dict[bytes, bytes] = {}

    def launch(self, job: Job) -> int:
        """Start the job's script in a session of its own, and return its pid.

        Raises:
            LaunchError: it did not start.
            AlreadyStartedError: it was started before, and must not be again.
        """
        native_id = b"%d" % job.id
        try:
            job_files.claim(job.job_dir, native_id)
        except DuplicateRunError as error:
            raise LaunchError(str(error), cause="duplicate") from error
        except OSError as error:
            raise LaunchError(f"cannot use the job's folder {_shown(job.job_dir)}: {error.strerror}") from error
        if job_files.has_started(job.job_dir):
            raise AlreadyStartedError
        variables = self._environment(job, native_id)
        os.umask(job.umask)
        try:
            return _spawn(job, variables)
        finally:
            os.umask(0o077)

    def _environment(self, job: Job, native_id: bytes) -> dict[bytes, bytes]:
        try:
            content = job_files.read_environment(job.job_dir)
        except OSError as error:
            what = f"{_shown(job.job_dir)}/{job_files.ENVIRONMENT}"
            raise LaunchError(f"cannot read the job's environment {what}: {error.strerror}") from error
        if content != self._content:
            self._content, self._variables = content, job_files.unpack_environment(content)
        tag = job.tag.encode()
        return {**self._variables, b"MOLQ_LOCAL_ID": native_id, b"MOLQ_JOB_ID": tag, b"MOLQ_CLAIMED": tag}


def _spawn(job: Job, variables: dict[bytes, bytes]) -> int:
    stdout = _open_log(job.stdout_path)
    stderr = None
    try:
        stderr = stdout if job.stderr_path == job.stdout_path else _open_log(job.stderr_path)
        if stderr != stdout and os.path.samestat(os.fstat(stdout), os.fstat(stderr)):
            os.dup2(stdout, stderr, inheritable=False)
        return os.posix_spawn(
            _SHELL,
            (_SHELL, job.script),
            variables,
            file_actions=((os.POSIX_SPAWN_DUP2, stdout, 1), (os.POSIX_SPAWN_DUP2, stderr, 2)),
            setsid=True,
            setsigmask=(),
            setsigdef=_RESET_SIGNALS,
        )
    except OSError as error:
        is_passing = error.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
        raise LaunchError(f"cannot start /bin/sh: {error.strerror}", is_passing=is_passing) from error
    finally:
        os.close(stdout)
        if stderr is not None and stderr != stdout:
            os.close(stderr)


def _open_log(path: bytes) -> int:
    try:
        descriptor = os.open(path, _LOG_FLAGS, 0o666)
        os.set_blocking(descriptor, True)
        return descriptor
    except OSError as error:
        is_passing = error.errno in (errno.EMFILE, errno.ENFILE)
        raise LaunchError(f"cannot write {_shown(path)}: {error.strerror}", is_passing=is_passing) from error


def _shown(path: bytes) -> str:
    return repr(path.decode("utf-8", "replace"))
