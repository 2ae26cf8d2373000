"""Delete one job's folder, and nothing but that folder."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, suppress

import attrs

from molq.errors import MolqError
from molq.manifest import MANIFEST, is_job_id, read_manifest, why_not_ours
from molq.tree_removal import NotEmptiedError, empty, enter, is_on_same_mount

ASIDE = ".deleted"
"""What is added to a folder's name before it is emptied, so that a run which starts late finds no folder at all."""

_DEEPEST = 30


class FolderKeptError(MolqError):
    """A job's folder was not deleted.

    Attributes:
        path: the folder.
        is_ours: whether it is a job's folder that should have been deleted; False if it must be left alone for good.
    """

    def __init__(self, path: str, reason: str, *, is_ours: bool) -> None:
        what = "could not be deleted" if is_ours else "is left alone"
        super().__init__(f"the folder {path!r} {what}: {reason}")
        self.path = path
        self.is_ours = is_ours


@attrs.define
class DoomedFolder:
    """A folder that was found to be one job's own. It is held by descriptors: names may change, and it does not.

    Attributes:
        path: the job's folder as it was recorded.
        place: the folder in which it is.
        descriptor: itself.
        name: what it is called there now.
        is_there: whether it still is, as far as this process knows.
    """

    path: str
    place: int
    descriptor: int
    name: str
    is_there: bool = True

    def put_aside(self) -> bool:
        """Take the folder from its place in one step; that another process has done so already is fine.

        Returns:
            Whether it may be deleted now; not while another cleanup is at it.

        Raises:
            FolderKeptError: it cannot be moved.
        """
        if _is_locked(self.descriptor):
            return False
        before, self.name = self.name, os.path.basename(self.path) + ASIDE
        try:
            is_moved = _rename(self.place, before, self.name)
            if not _is_called(self.place, self.name, self.descriptor):
                if is_moved:
                    _rename(self.place, self.name, before)
                raise FolderKeptError(self.path, "another has taken its name", is_ours=True)
        except FileNotFoundError:
            self.is_there = False
        except OSError as error:
            raise FolderKeptError(self.path, _said(error), is_ours=True) from error
        return True

    def delete(self) -> int | None:
        """Delete the folder with all that is in it, its manifest last, so that a later call can finish this one.

        Returns:
            How many bytes that freed on the disk; None if another process has deleted the folder meanwhile.

        Raises:
            FolderKeptError: something in it cannot be deleted.
        """
        if not self.is_there:
            return None
        try:
            freed = empty(self.descriptor, keep=MANIFEST)
            with suppress(FileNotFoundError):
                os.unlink(MANIFEST, dir_fd=self.descriptor)
            try:
                os.rmdir(self.name, dir_fd=self.place)
            except FileNotFoundError:
                return None
        except NotEmptiedError as error:
            raise FolderKeptError(self.path, str(error), is_ours=True) from error
        except OSError as error:
            raise FolderKeptError(self.path, _said(error), is_ours=True) from error
        return freed


def doomed_folders(job_dir: str, job_id: str, descriptors: ExitStack) -> list[DoomedFolder]:
    """Return what is there of a job's folder: nothing, itself, or what a cleanup that was killed has left of it.

    Nothing is changed by that.

    Args:
        job_dir: the job's folder as it was recorded.
        job_id: the job.
        descriptors: closes the folders' descriptors at its end.

    Raises:
        FolderKeptError: there is something else, or it cannot be looked at.
    """
    place_path, name = os.path.split(job_dir)
    if name != job_id or not is_job_id(job_id) or not os.path.isabs(place_path):
        raise FolderKeptError(job_dir, f"that is no name of the folder of job {job_id}", is_ours=False)
    try:
        place = os.open(place_path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise FolderKeptError(job_dir, _said(error), is_ours=True) from error
    descriptors.callback(os.close, place)
    # In this order, so that one that is put aside meanwhile is found under one name or the other.
    whole = _checked(job_dir, place, job_id, descriptors)
    aside = _checked(job_dir, place, job_id + ASIDE, descriptors)
    if whole is not None and aside is not None and os.path.sameopenfile(whole.descriptor, aside.descriptor):
        whole = None
    return [folder for folder in (aside, whole) if folder is not None]


def is_surely_gone(job_dir: str, cwd: str) -> bool:
    """Tell whether a job's folder that is not there was deleted, and not just put out of sight.

    The folders above it may be on a disk that is not mounted now, or on another machine's.
    """
    place = os.path.dirname(job_dir)
    return os.path.isdir(cwd if place == os.path.join(cwd, ".molq", "jobs") else place)


def _checked(path: str, place: int, name: str, descriptors: ExitStack) -> DoomedFolder | None:
    job_id = os.path.basename(path)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=place)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise FolderKeptError(path, "it is a link, or no folder", is_ours=False) from error
    except OSError as error:
        raise FolderKeptError(path, _said(error), is_ours=True) from error
    descriptors.callback(os.close, descriptor)
    try:
        reason = why_not_ours(descriptor, job_id)
        if not is_on_same_mount(place, descriptor):
            reason = "another file system is mounted on it"
        obstacle = None if reason else _obstacle(descriptor, job_id)
        is_leftover = reason is not None and name != job_id and not os.listdir(descriptor)
        if reason is not None and not _is_called(place, name, descriptor):
            return None
    except FileNotFoundError:  # another process is deleting it
        return None
    except OSError as error:
        raise FolderKeptError(path, _said(error), is_ours=True) from error
    if reason is not None and not is_leftover:
        raise FolderKeptError(path, reason, is_ours=False)
    if obstacle is not None:
        raise FolderKeptError(path, obstacle, is_ours=True)
    return DoomedFolder(path=path, place=place, descriptor=descriptor, name=name)


def _rename(place: int, old: str, new: str) -> bool:
    """Rename a folder; tell whether it was there."""
    try:
        os.rename(old, new, src_dir_fd=place, dst_dir_fd=place)
    except FileNotFoundError:
        return False
    return True


def _is_called(place: int, name: str, folder: int) -> bool:
    return os.path.samestat(os.stat(name, dir_fd=place, follow_symlinks=False), os.fstat(folder))


def _is_locked(folder: int) -> bool:
    """Lock a folder until its descriptor is closed; tell whether another process has locked it."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # the file system knows no locks of folders; two cleanups then do the same work, which is harmless
        return False
    return False


def _obstacle(folder: int, job_id: str, depth: int = 0) -> str | None:
    """Return what somewhere below must not be moved or deleted: another job may be active in its folder there."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    for name in names if depth < _DEEPEST else ():
        inner = enter(folder, name)
        if inner is None:
            continue
        try:
            if not is_on_same_mount(folder, inner):
                return f"another file system is mounted on {name!r} in it"
            other = name.removesuffix(ASIDE)
            manifest = read_manifest(inner) if other != job_id and is_job_id(other) else None
            if manifest is not None and manifest.get("job_id") == other:
                return f"the folder of job {other} is in it"
            if obstacle := _obstacle(inner, job_id, depth + 1):
                return obstacle
        finally:
            os.close(inner)
    return None


def _said(error: OSError) -> str:
    return error.strerror or str(error)
