"""Make one job's own folder, safely."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from molq.errors import ScriptError
from molq.job_files import SUBMIT_CODE, SUBMIT_ERR, SUBMIT_LOCK, SUBMIT_OUT, JobFiles
from molq.manifest import MANIFEST, render_manifest
from molq.paths import absolute

SCRIPT = "job.sh"
STDOUT = "stdout.log"
STDERR = "stderr.log"
SUBMIT_IN = "submit.in"

_DEFAULT = (".molq", "jobs")


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
        """Return ``jobs_dir``, or by default ``.molq/jobs`` in the working directory.

        Raises:
            ConfigError: the path of ``jobs_dir`` leads nowhere.
        """
        if jobs_dir is None:
            return cls(cwd, _DEFAULT)
        return cls(Path(os.path.normpath(absolute(jobs_dir, "jobs_dir"))))

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
class JobFolder(JobFiles):
    """The folder of one job's own files, as molq makes and fills it; nobody but its user can enter it."""

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
            folder._mark(job_id, now)
        except OSError as error:
            _check_working_directory(place)
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
        try:
            if not os.path.lexists(folder.path / MANIFEST):  # whoever made the folder did not come that far
                folder._mark(job_id, now)
        except OSError as error:
            raise folder._cannot_write(error) from error
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

    def _mark(self, job_id: str, now: float) -> None:
        """Write the manifest, without which nothing here is ever deleted; an empty folder that has none is removed."""
        try:
            self.write(MANIFEST, render_manifest(job_id, now), replace=True)
        except OSError:
            with suppress(OSError):
                os.unlink(self.path / MANIFEST)
            with suppress(OSError):
                os.rmdir(self.path)
            raise

    def _cannot_write(self, error: OSError) -> ScriptError:
        return ScriptError(f"cannot write the job's files in {str(self.path)!r}: {error.strerror}", path=self.path)

    def _cannot_lock(self, error: OSError) -> ScriptError:
        return ScriptError(
            f"cannot lock the job's folder {str(self.path)!r}: {error.strerror}; "
            "choose a place on another file system with jobs_dir",
            path=self.path,
        )


def _check_working_directory(place: JobPlace) -> None:
    """Name the working directory as what is wrong, if job folders are made in it and it is no folder."""
    if place.parts and not place.root.is_dir():
        is_there = os.path.lexists(place.root)
        raise ScriptError(
            f"the working directory {str(place.root)!r} {'is no folder' if is_there else 'does not exist'}; "
            f"{'' if is_there else 'make it, or '}give another with cwd",
            path=place.root,
        )


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
