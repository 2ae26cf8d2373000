"""Read and make the files in a job's folder that tell whether it ran."""

from __future__ import annotations

import os

ENVIRONMENT = "environment.local"


class DuplicateRunError(Exception):
    """Another run holds the claim of this job."""


def claim(job_dir: bytes, native_id: bytes) -> None:
    """Claim the run, as the job's script would: whoever finds another id there must not run.

    Raises:
        DuplicateRunError: another id is there.
        OSError: the folder cannot be used.
    """
    path = job_dir + b"/claim"
    try:
        os.symlink(native_id, path)
    except FileExistsError:
        try:
            holder = os.readlink(path)
        except OSError:
            holder = b"?"
        if holder != native_id:
            shown = holder.decode("utf-8", "replace")
            raise DuplicateRunError(f"another run of this job, {shown!r}, was there first") from None


def has_started(job_dir: bytes) -> bool:
    """Tell whether the job's script left any sign of a run."""
    return os.path.lexists(job_dir + b"/start") or os.path.lexists(job_dir + b"/exit")


def modified(job_dir: bytes, name: str) -> float | None:
    """Return when a file of the job was last written; None if it is not there."""
    try:
        return os.stat(job_dir + b"/" + name.encode()).st_mtime
    except OSError:
        return None


def read_exit(job_dir: bytes) -> tuple[int, str | None] | None:
    """Return the exit code and the reason in the exit file; None while it is not complete."""
    line = _first_line(job_dir + b"/exit")
    code, _, reason = line.partition(" ")
    if not (code.isascii() and code.isdigit()):
        return None
    # That a signal came first is no reason of its own; it tells the script whether a requeue may repeat the run.
    return int(code), None if reason == "after a signal" else reason.strip() or None


def read_start_pid(job_dir: bytes) -> int | None:
    """Return the pid of the script in the start file; None while it is not complete."""
    words = _first_line(job_dir + b"/start").split()
    return int(words[1]) if len(words) > 1 and words[1].isascii() and words[1].isdigit() else None


def _first_line(path: bytes) -> str:
    # The shell writes these files in place: what does not end in a newline is not yet, or never will be, complete.
    try:
        with open(path, "rb") as file:
            content = file.read(65_536)
    except OSError:
        return ""
    return content.partition(b"\n")[0].decode("utf-8", "replace") if content.endswith(b"\n") else ""


def write_environment(job_dir: bytes, environment: bytes) -> None:
    """Keep the submitter's environment for the agent, readable by this user alone."""
    path = job_dir + b"/" + ENVIRONMENT.encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    with open(descriptor, "wb") as file:
        file.write(environment)


def read_environment(job_dir: bytes) -> bytes:
    """Return what ``write_environment`` kept.

    Raises:
        OSError: it is not there.
    """
    descriptor = os.open(job_dir + b"/" + ENVIRONMENT.encode(), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        content = part = os.read(descriptor, 65_536)
        while len(part) == 65_536:
            part = os.read(descriptor, 65_536)
            content += part
        return content
    finally:
        os.close(descriptor)


def pack_environment(variables: dict[str, str]) -> bytes:
    """Return variables in the form of the file; what no process could inherit is left out."""
    return os.fsencode(
        "".join(
            f"{name}={value}\0"
            for name, value in variables.items()
            if name and "=" not in name and "\0" not in name and "\0" not in value
        )
    )


def unpack_environment(content: bytes) -> dict[bytes, bytes]:
    """Return what ``pack_environment`` packed."""
    return dict(entry.split(b"=", 1) for entry in content.split(b"\0") if entry)
