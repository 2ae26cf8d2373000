"""Turn a path as a user writes it into one that holds everywhere."""

from __future__ import annotations

import os
from pathlib import Path

from molq.errors import ConfigError


def expanded(path: str | os.PathLike[str], name: str) -> Path:
    """Return a path with the home folder that ``~`` or ``~user`` at its beginning stands for.

    Args:
        path: the path.
        name: what it is, in the user's words, for the error.

    Raises:
        ConfigError: it is not known where that home is.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        home = Path(path).parts[0]
        raise ConfigError(
            f"{name} is {os.fspath(path)!r}, and it is not known where the home {home!r} is; write the path in full"
        ) from error


def absolute(path: str | os.PathLike[str], name: str) -> Path:
    """Return a path that begins at the root; a relative one begins at the current directory.

    Args:
        path: the path, in which ``~`` stands for a home folder.
        name: what it is, in the user's words, for the error.

    Raises:
        ConfigError: it is not known where that home is, or the current directory does not exist any more.
    """
    try:
        return expanded(path, name).absolute()
    except FileNotFoundError as error:
        raise ConfigError(
            f"{name} is {os.fspath(path)!r}, which begins at the current directory, and that does not exist any more; "
            "change to another, or write the path in full"
        ) from error
