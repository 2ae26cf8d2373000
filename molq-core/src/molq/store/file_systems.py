"""Tell local file systems from those that several machines share."""

from __future__ import annotations

import os
import re
from pathlib import Path

# Anything not listed may be shared, and is treated as if it were.
_LOCAL = frozenset(
    {
        "apfs",
        "bcachefs",
        "btrfs",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "hfs",
        "jfs",
        "nilfs2",
        "overlay",
        "ramfs",
        "reiserfs",
        "tmpfs",
        "ufs",
        "vfat",
        "xfs",
        "zfs",
    }
)

# One line of mountinfo: id, parent, device, root, mount point, options, optional fields, "-", type.
_MOUNT = re.compile(rb"(?:[^ ]+ ){4}([^ ]+) .*? - ([^ ]+)")
_ESCAPE = re.compile(rb"\\([0-7]{3})")


def file_system_type(path: Path, mounts: bytes | None = None) -> str | None:
    """Return the type of the file system that ``path`` is on, such as ``"ext4"``; None if it cannot be told.

    Args:
        path: a file or folder, which need not exist yet.
        mounts: the content of ``/proc/self/mountinfo``; read from there by default.
    """
    # Before the mounts are read: looking at a folder may mount it.
    target = os.fsencode(os.path.realpath(path))
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_bytes()
        except OSError:
            return None
    best, kind = -1, None
    for line in mounts.split(b"\n"):
        match = _MOUNT.match(line)
        if match is None:
            continue
        mount_point = _ESCAPE.sub(lambda escape: bytes([int(escape[1], 8) & 0xFF]), match[1])
        inside = target == mount_point or target.startswith(mount_point.rstrip(b"/") + b"/")
        # Later lines shadow earlier ones on the same mount point.
        if inside and len(mount_point) >= best:
            best, kind = len(mount_point), match[2].decode(errors="replace")
    return kind


def is_local(path: Path) -> bool:
    """Tell whether ``path`` is surely on a file system of this machine alone."""
    return file_system_type(path) in _LOCAL
