"""Empty a folder by descriptors: no link is followed, and no other file system entered."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

import attrs

_OURS = 0o700
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NotEmptiedError(Exception):
    """Something could not be deleted; the sentence says what and why."""


def empty(folder: int, *, keep: str) -> int:
    """Delete all that is in a folder but the file ``keep``; what is in others' hands there already is no error.

    What cannot be deleted does not keep the rest from being deleted.

    Args:
        folder: a descriptor of the folder.
        keep: the name of what stays.

    Returns:
        How many bytes that freed on the disk.

    Raises:
        NotEmptiedError: something is still there.
    """
    removal = _Removal(folder)
    _let_us_in(folder)
    while removal.lift_again:
        removal.lift_again = False
        for name in _names(folder):
            if name != keep and name not in removal.stuck:
                removal.remove(name)
    left = [name for name in _names(folder) if name != keep]
    if removal.stuck or left:
        name = next(iter(removal.stuck or left))
        raise NotEmptiedError(removal.stuck.get(name, f"{name!r} was written into it meanwhile"))
    return removal.freed


def enter(parent: int, name: str) -> int | None:
    """Return a descriptor of a folder in a folder; None if it is none, or nobody may look into it."""
    with suppress(OSError):
        return os.open(name, _FOLDER, dir_fd=parent)
    return None


def is_on_same_mount(parent: int, child: int) -> bool:
    """Tell whether no file system is mounted between two folders, not even by a bind mount."""
    return os.fstat(parent).st_dev == os.fstat(child).st_dev and _mount_id(parent) == _mount_id(child)


@attrs.define
class _Removal:
    """Deletes what is in one folder, whatever its depth, with two descriptors.

    A folder below a folder is first moved up to the top.
    """

    top: int
    freed: int = 0
    lift_again: bool = True
    stuck: dict[str, str] = attrs.field(factory=dict)
    _number: int = 0

    def remove(self, name: str) -> None:
        """Delete what has this name in the top folder, except for the folders in it, which become its siblings."""
        try:
            if self._is_deleted_as_file(self.top, name):
                return
            child = _open(self.top, name)
            try:
                trouble = self._flatten(child)
            finally:
                os.close(child)
            if trouble is not None:
                raise trouble
            os.rmdir(name, dir_fd=self.top)
        except FileNotFoundError:
            return
        except OSError as error:
            inner = f"{name}/{error.filename}" if isinstance(error.filename, str) and error.filename != name else name
            self.stuck[name] = f"{inner!r}: {error.strerror}"

    def _flatten(self, child: int) -> OSError | None:
        trouble = None
        for name in _names(child):
            try:
                if not self._is_deleted_as_file(child, name):
                    self._lift(child, name)
            except FileNotFoundError:
                continue
            except OSError as error:
                trouble = trouble or error
        return trouble

    def _is_deleted_as_file(self, parent: int, name: str) -> bool:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            return False
        os.unlink(name, dir_fd=parent)
        if status.st_nlink == 1:
            self.freed += status.st_blocks * 512
        return True

    def _lift(self, parent: int, name: str) -> None:
        os.close(_open(parent, name))
        while True:
            self._number += 1
            try:
                os.rename(name, f"moved-{self._number}", src_dir_fd=parent, dst_dir_fd=self.top)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                    raise
            else:
                self.lift_again = True
                return


def _open(parent: int, name: str) -> int:
    """Return a descriptor of a folder in which all can be deleted, if it is ours to allow that."""
    try:
        child = os.open(name, _FOLDER, dir_fd=parent)
    except PermissionError:
        _let_us_in_by_name(parent, name)
        child = os.open(name, _FOLDER, dir_fd=parent)
    try:
        _check_mount(parent, child, name)
        _let_us_in(child)
    except OSError:
        os.close(child)
        raise
    return child


def _check_mount(parent: int, child: int, name: str) -> None:
    if not is_on_same_mount(parent, child):
        raise OSError(errno.EXDEV, "another file system is mounted there", name)


def _let_us_in(folder: int) -> None:
    status = os.fstat(folder)
    if status.st_mode & _OURS != _OURS and status.st_uid == os.getuid():
        os.fchmod(folder, _OURS)


def _let_us_in_by_name(parent: int, name: str) -> None:
    # A folder that may not be read gives no descriptor that fchmod would take.
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        if os.fstat(handle).st_uid == os.getuid() and is_on_same_mount(parent, handle):
            os.chmod(f"/proc/self/fd/{handle}", _OURS)
    finally:
        os.close(handle)


def _names(folder: int) -> list[str]:
    # A folder that another process has deleted meanwhile has no entries, and cannot be listed.
    with suppress(FileNotFoundError):
        return os.listdir(folder)
    return []


def _mount_id(folder: int) -> str | None:
    try:
        with open(f"/proc/self/fdinfo/{folder}") as facts:
            return next((line for line in facts if line.startswith("mnt_id:")), None)
    except OSError:
        return None
