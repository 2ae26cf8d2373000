"""The file in a job's folder that says whose folder it is."""

from __future__ import annotations

import errno
import json
import os
import re
import stat

MANIFEST = "manifest.json"

_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NO_FILE = (errno.ENOENT, errno.ELOOP, errno.ENXIO)  # nothing, a link, a socket
_LONGEST = 64 * 1024


def is_job_id(text: str) -> bool:
    """Tell whether a text may be the id of a job, and so the name of its folder."""
    return _JOB_ID.fullmatch(text) is not None


def render_manifest(job_id: str, now: float) -> bytes:
    """Return the manifest of a job's new folder."""
    return json.dumps({"job_id": job_id, "uid": os.getuid(), "created_at": now}).encode() + b"\n"


def read_manifest(folder: int) -> dict[str, object] | None:
    """Return the manifest in a folder, or None if there is none that is a file of ours.

    Args:
        folder: a descriptor of the folder.

    Raises:
        OSError: that cannot be told now.
    """
    try:
        file = os.open(MANIFEST, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_FILE:
            raise
        return None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
            return None
        manifest = json.loads(os.read(file, _LONGEST))
    except (ValueError, RecursionError):
        return None
    finally:
        os.close(file)
    return manifest if isinstance(manifest, dict) else None


def why_not_ours(folder: int, job_id: str) -> str | None:
    """Return why a folder is not that of a job of this user; None if it is.

    Raises:
        OSError: that cannot be told now.
    """
    owner = os.fstat(folder).st_uid
    if owner != os.getuid():
        return f"it belongs to another user (uid {owner})"
    manifest = read_manifest(folder)
    if manifest is None:
        return f"it has no {MANIFEST} by molq"
    if manifest.get("job_id") != job_id:
        return f"its {MANIFEST} is that of job {manifest.get('job_id')!r}"
    if manifest.get("uid") != os.getuid():
        return f"its {MANIFEST} is that of another user (uid {manifest.get('uid')!r})"
    return None
