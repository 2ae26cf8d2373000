"""Where one queue keeps its files, and that nobody else can read them."""

from __future__ import annotations

import functools
import os
import stat

# Types as they stand in /proc/self/mountinfo; shared memory and flock of SQLite's WAL don't reach across hosts there.
NETWORK_FILE_SYSTEMS = frozenset(
    (
        "9p",
        "acfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.juicefs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "panfs",
        "prl_fs",
        "pvfs2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "wekafs",
    )
)


class PlaceError(Exception):
    """The queue's folder cannot be used."""


class Place:
    """The files of one queue.

    Attributes:
        folder: the absolute path of the folder.
        host: whose jobs are meant, where several hosts share the folder; empty on a disk of this machine.
    """

    __slots__ = ("folder", "host")

    def __init__(self, folder: str, host: str | None = None) -> None:
        self.folder = folder
        self.host = shared_by_hosts(folder) if host is None else host

    @property
    def queue(self) -> str:
        """The database of the jobs."""
        return os.path.join(self.folder, "queue.db")

    @property
    def lock(self) -> str:
        """The file that the agent locks, and writes its pid to."""
        return self._own("agent.lock")

    @property
    def wake(self) -> str:
        """The pipe that wakes the agent."""
        return self._own("wake")

    @property
    def log(self) -> str:
        """What the agent has to say."""
        return self._own("agent.log")

    def _own(self, name: str) -> str:
        path = os.path.join(self.folder, name)
        return f"{path}.{self.host}" if self.host else path

    def create(self) -> None:
        """Make the folder, private to this user.

        Raises:
            PlaceError: it cannot be made, or belongs to somebody else.
        """
        try:
            if not os.path.isdir(self.folder):
                _make_private(self.folder)
            found = os.stat(self.folder)
            if found.st_uid != os.geteuid():
                raise PlaceError(f"the folder {self.folder!r} of the local queue belongs to another user")
            if stat.S_IMODE(found.st_mode) != 0o700:
                os.chmod(self.folder, 0o700)
        except OSError as error:
            raise PlaceError(f"cannot make the folder {self.folder!r} of the local queue: {error.strerror}") from error


def _make_private(folder: str) -> None:
    parent = os.path.dirname(folder)
    if parent != folder and not os.path.isdir(parent):
        _make_private(parent)
    try:
        os.mkdir(folder, 0o700)
        os.chmod(folder, 0o700)
    except FileExistsError:
        if not os.path.isdir(folder):
            raise


@functools.lru_cache(maxsize=16)
def shared_by_hosts(folder: str) -> str:
    """Return this host's name if ``folder`` is on a network file system, else an empty text."""
    return os.uname().nodename if file_system(folder) in NETWORK_FILE_SYSTEMS else ""


def file_system(folder: str) -> str:
    """Return the type of the file system that ``folder`` is or would be on; empty if that cannot be told."""
    try:
        with open("/proc/self/mountinfo", "rb") as mounts:
            lines = mounts.read().splitlines()
    except OSError:
        return ""
    return type_in_mountinfo(lines, os.fsencode(os.path.realpath(folder)))


def type_in_mountinfo(lines: list[bytes], path: bytes) -> str:
    """Return the type of the innermost mount in ``lines`` that holds ``path``; later mounts cover earlier ones."""
    best, kind = -1, ""
    for line in lines:
        before, _, after = line.partition(b" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        mounted = fields[4].replace(b"\\040", b" ").replace(b"\\011", b"\t").replace(b"\\134", b"\\").rstrip(b"/")
        if (path == mounted or path.startswith(mounted + b"/")) and len(mounted) >= best:
            best, kind = len(mounted), after.split()[0].decode("ascii", "replace")
    return kind
