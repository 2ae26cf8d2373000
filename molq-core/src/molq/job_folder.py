"""One job's own folder: made safely, and read as evidence."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from molq.backend import CommandReply
from molq.errors import ScriptError
from molq.job_script import CLAIM, EXIT, SIGNALLED, START
from molq.manifest import MANIFEST, render_manifest

SCRIPT = "job.sh"
STDOUT = "stdout.log"
STDERR = "stderr.log"
SUBMIT_LOCK = "submit.lock"
SUBMIT_IN = "submit.in"
SUBMIT_OUT = "submit.out"
SUBMIT_ERR = "submit.err"
SUBMIT_CODE = "submit.exit"

_DEFAULT = (".molq", "jobs")

_EXIT = re.compile(rb"(\d{1,3})(?: ([^\n]*))?\n")
_START = re.compile(rb"(\S+) (\d{1,18}) (\S+) (\d{1,9})\n")
_SUBMIT_CODE = re.compile(rb"(-?\d{1,9})\n")
_LONGEST = 64 * 1024


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
        pid: its process.
        host: the machine.
        restarts: how often the scheduler had started it before.
        at: when, in seconds since the epoch.
    """

    scheduler_job_id: str
    pid: int
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
class JobPlace:
    """Where job folders are made: a root that the user chose, and molq's own folders below it.

    Attributes:
        root: the working directory, which must exist, or the user's jobs_dir, which is made.
        parts: molq's own folders below it.
    """

    root: Path
    parts: tuple[str, ...] = ()

    @classmethod
    def choose(cls, jobs_dir: str | os.PathLike[str] | None, cwd: Path) -> JobPlace:
        """Return ``jobs_dir``, or by default ``.molq/jobs`` in the working directory."""
        if jobs_dir is None:
            return cls(cwd, _DEFAULT)
        return cls(Path(os.path.abspath(Path(jobs_dir).expanduser())))

    @classmethod
    def of(cls, job_dir: str) -> JobPlace:
        """Return the place that a job's folder was made in."""
        place = Path(job_dir).parent
        if place.parts[-2:] == _DEFAULT:
            return cls(place.parent.parent, _DEFAULT)
        return cls(place)

    @property
    def path(self) -> Path:
        """The folder of job folders."""
        return self.root.joinpath(*self.parts)


@attrs.frozen
class JobFolder:
    """The folder of one job's own files; nobody but its user can enter it."""

    path: Path

    @classmethod
    def create(cls, place: JobPlace, job_id: str, now: float) -> JobFolder:
        """Make the folder of a job, which must be new, with its manifest.

        Raises:
            ScriptError: it cannot be made, or a folder on the way belongs to somebody else.
        """
        folder = cls(place.path / job_id)
        try:
            descriptor = _open_place(place)
            try:
                os.mkdir(job_id, 0o700, dir_fd=descriptor)
                os.chmod(job_id, 0o700, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            folder.write(MANIFEST, render_manifest(job_id, now))
        except OSError as error:
            raise ScriptError(
                f"cannot make the job's folder {str(folder.path)!r}: {error.strerror}; "
                "choose a place that you may write with jobs_dir",
                path=folder.path,
            ) from error
        return folder

    @classmethod
    def reopen(cls, place: JobPlace, job_id: str, now: float) -> JobFolder:
        """Return the folder of a job that waits in molq, which is made if it is not there yet.

        Raises:
            ScriptError: it cannot be made, or is not this user's.
        """
        folder = cls(place.path / job_id)
        try:
            status = os.lstat(folder.path)
        except FileNotFoundError:
            return cls.create(place, job_id, now)
        except OSError as error:
            raise ScriptError(
                f"cannot enter the job's folder {str(folder.path)!r}: {error.strerror}", path=folder.path
            ) from error
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise ScriptError(
                f"{str(folder.path)!r} should be the job's folder, and is no folder of this user's; move it away",
                path=folder.path,
            )
        return folder

    def forget_submission(self) -> None:
        """Delete what an earlier submission left, which surely never reached the scheduler."""
        for name in (SUBMIT_IN, SUBMIT_OUT, SUBMIT_ERR, SUBMIT_CODE):
            with suppress(FileNotFoundError):
                os.unlink(self.path / name)

    def write(self, name: str, content: bytes, *, mode: int = 0o600, sync: bool = False, replace: bool = False) -> Path:
        """Write a new file into the folder, on disk when this returns if ``sync``; instead of an old if ``replace``."""
        path = self.path / name
        if replace:
            with suppress(FileNotFoundError):
                os.unlink(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        try:
            os.fchmod(descriptor, mode)
            unwritten = memoryview(content)
            while unwritten:
                unwritten = unwritten[os.write(descriptor, unwritten) :]
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return path

    @contextmanager
    def submit_lock(self, *, wait: bool = True) -> Iterator[int]:
        """Hold the lock that says that a submission is under way; give its descriptor to the command that submits.

        Args:
            wait: whether to wait until nobody else holds it.

        Raises:
            BlockingIOError: somebody else holds it, and ``wait`` is not set.
            ScriptError: the lock's file cannot be made, or the file system knows no locks.
        """
        try:
            descriptor = os.open(self.path / SUBMIT_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._cannot_lock(error) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise
            except OSError as error:
                raise self._cannot_lock(error) from error
            yield descriptor
        finally:
            os.close(descriptor)

    def submission_is_under_way(self) -> bool:
        """Tell whether this job's submitter, or the command it started, still lives."""
        try:
            descriptor = os.open(self.path / SUBMIT_LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # the file system knows no locks
            return False
        finally:
            os.close(descriptor)
        return False

    def read_submit_reply(self) -> CommandReply | None:
        """Return what the submit command answered, as far as it is on disk."""
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
        """Return how the command ended, if that is written."""
        found = self._read(EXIT if element is None else f"{EXIT}.{element}")
        match = _EXIT.fullmatch(found[0]) if found else None
        if not found or not match:
            return None
        told = match[2].decode(errors="replace") if match[2] else None
        if told == SIGNALLED:
            return ExitFile(code=int(match[1]), at=found[1], was_signalled=True)
        return ExitFile(code=int(match[1]), at=found[1], reason=told)

    def read_start(self, element: int | None = None) -> StartFile | None:
        """Return where and as what the script started, if it did."""
        found = self._read(START if element is None else f"{START}.{element}")
        match = _START.fullmatch(found[0]) if found else None
        if not found or not match:
            return None
        run, pid, host, restarts = (group.decode(errors="replace") for group in match.groups())
        return StartFile(scheduler_job_id=run, pid=int(pid), host=host, restarts=int(restarts), at=found[1])

    def read_elements(self) -> ElementFiles:
        """Return which elements of an array have left files."""
        try:
            names = os.listdir(self.path)
        except OSError:
            names = []
        return ElementFiles(started=_indices(names, f"{START}."), ended=_indices(names, f"{EXIT}."))

    def read_claim(self) -> str | None:
        """Return the scheduler's id of the run that has claimed the job."""
        with suppress(OSError):
            return os.readlink(self.path / CLAIM)
        return None

    def _cannot_lock(self, error: OSError) -> ScriptError:
        return ScriptError(
            f"cannot lock the job's folder {str(self.path)!r}: {error.strerror}; "
            "choose a place on another file system with jobs_dir",
            path=self.path,
        )

    def _read(self, name: str) -> tuple[bytes, float] | None:
        try:
            descriptor = os.open(f"{self.path}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            status = os.fstat(descriptor)
            return (os.read(descriptor, _LONGEST), status.st_mtime) if stat.S_ISREG(status.st_mode) else None
        except OSError:
            return None
        finally:
            os.close(descriptor)


def may_have_ended(job_dir: str) -> bool:
    """Tell whether there is an exit file in a job's folder; as cheaply as can be, since polls ask it of thousands."""
    return os.path.exists(f"{job_dir}/{EXIT}")


def _indices(names: Sequence[str], prefix: str) -> frozenset[int]:
    tails = (name.removeprefix(prefix) for name in names if name.startswith(prefix))
    return frozenset(int(tail) for tail in tails if tail.isascii() and tail.isdigit() and len(tail) < 10)


def _open_place(place: JobPlace) -> int:
    """Return a descriptor of the folder of job folders, making what is missing.

    In molq's own folders below the root, links and other users' folders are refused.
    """
    if not place.parts:
        place.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(place.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in place.parts:
        with suppress(FileExistsError):
            os.mkdir(part, 0o700, dir_fd=descriptor)
        try:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
        owner = os.fstat(descriptor).st_uid
        if owner != os.getuid():
            os.close(descriptor)
            raise ScriptError(
                f"the folder {str(place.root / part)!r} belongs to another user (uid {owner}); "
                "choose another place with jobs_dir",
                path=place.path,
            )
    return descriptor
