"""The file of profiles on disk: whether it can be trusted, its text, and its replacement in one step."""

from __future__ import annotations

import errno
import os
import pwd
import re
import shlex
import stat
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from molq.errors import ConfigFileError
from molq.paths import absolute
from molq.store import molq_home

_MOST_LINKS = 40
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_WHERE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)
# A word of what tomllib says -> what to do about it.
_ADVICE = {
    "Invalid value": '; texts stand in quotes, such as "32G"',
    "twice": "; a table has one header, below which all its keys stand",
    "overwrite": "; a key stands once in its table",
    "immutable": "; a table has one header, below which all its keys stand",
}
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def config_path(path: str | os.PathLike[str] | None = None) -> Path:
    """Return the absolute path of the file: ``config.toml`` in ``MOLQ_HOME`` by default, which is ``~/.molq``.

    Raises:
        ConfigError: the path leads nowhere.
    """
    return molq_home() / "config.toml" if path is None else absolute(path, "the path of the profiles")


def read_text(path: Path) -> str | None:
    """Return the file's text; None if there is no such file.

    Raises:
        ConfigFileError: it cannot be read, or somebody else could have written it.
    """
    with _explained(path, "read"):
        try:
            file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115 - the with below closes it
        except (FileNotFoundError, NotADirectoryError):
            return None
        with file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ConfigFileError(f"{str(path)!r} is no file; molq keeps its profiles there", path=path)
            _check_trust(path, repr(str(path)), status)
            _check_folders(path)
            content = file.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigFileError(
            f"{str(path)!r}, line {line}: this is not UTF-8; save the file in that encoding", path=path
        ) from error


def parse(text: str, path: Path) -> dict[str, Any]:
    """Return the tables in a file's text.

    Raises:
        ConfigFileError: it is not TOML; the message tells the line and the column.
    """
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        match = _WHERE.fullmatch(str(error))
        what, line, column = match.groups() if match else (str(error), None, None)
        where = f"line {line}, column {column}" if line else "at its end"
        hint = next((advice for word, advice in _ADVICE.items() if word in what), "")
        raise ConfigFileError(
            f"{str(path)!r}, {where}: this is not TOML: {what[:1].lower()}{what[1:]}{hint}", path=path
        ) from error


def replace_text(path: Path, text: str, old: str | None) -> None:
    """Write the file in one step: whoever reads it, even after a power cut, finds the old text or the new one.

    A link stays one, and the file that it leads to is written. The file is readable by its user alone.

    Args:
        path: the file; its folder is made if need be.
        text: the new text.
        old: the text that it had; None for a file that must be new.

    Raises:
        ConfigFileError: it cannot be written, or is not what it was any more. It was not changed.
    """
    with _explained(path, "written"):
        _make_folder(path.parent)
        _check_folders(path)
        target = Path(os.path.realpath(path)) if old is not None else path
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}-", dir=target.parent)
        try:
            with open(descriptor, "wb") as file:
                os.fchmod(descriptor, 0o600)
                file.write(text.encode())
                file.flush()
                os.fsync(descriptor)
            if old is None:
                _link_new(name, target)
            else:
                if read_text(path) != old:
                    raise ConfigFileError(f"{str(path)!r} was changed by another program; try again", path=path)
                os.replace(name, target)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)
        _sync_folder(target.parent)


def _open_at_once(path: str, flags: int) -> int:
    # A named pipe would wait for a writer.
    return os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)


def _check_folders(path: Path) -> None:
    """Check each folder in which somebody could put another file, or link, in the place of this one."""
    for folder in _folders_of(path):
        _check_trust(path, f"{str(folder)!r}, the folder of molq's profiles,", folder.stat(), folder)


def _folders_of(path: Path) -> Iterator[Path]:
    for _ in range(_MOST_LINKS):
        yield path.parent
        if not path.is_symlink():
            return
        path = path.parent / os.readlink(path)


def _check_trust(path: Path, what: str, status: os.stat_result, place: Path | None = None) -> None:
    place = place or path
    why = "a profile says which programs molq runs, so nobody else may change it"
    if status.st_uid not in (os.geteuid(), 0):
        raise ConfigFileError(
            f"{what} belongs to {_user(status.st_uid)}, not to you; {why}: use a copy of your own", path=path
        )
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise ConfigFileError(
            f"{what} can be written by others; {why}. See that it is still as you left it, then run: "
            f"chmod go-w {shlex.quote(str(place))}",
            path=path,
        )


def _user(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name!r}"
    except KeyError:
        return f"the user with the id {uid}"


def _make_folder(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)


def _link_new(name: str, target: Path) -> None:
    try:
        # Unlike a renaming, this never takes the place of a file that came meanwhile.
        os.link(name, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS or os.path.lexists(target):
            raise
        os.replace(name, target)


def _sync_folder(folder: Path) -> None:
    # Some file systems cannot do this; the new text is in its place all the same.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _explained(path: Path, done: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError as error:
        raise ConfigFileError(f"{str(path)!r} is there already; it was left as it is", path=path) from error
    except OSError as error:
        raise ConfigFileError(
            f"{str(path)!r} cannot be {done}: {error.strerror} ({error.filename}); "
            "check the file and its folder, or choose another folder with MOLQ_HOME",
            path=path,
        ) from error
