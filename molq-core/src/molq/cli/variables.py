"""Read variables from the command line and from a file of ``NAME=VALUE`` lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from molq.errors import CommandError


def variables_of(path: str | None, pairs: Sequence[str]) -> dict[str, str] | None:
    """Return the variables in a file and in ``NAME=VALUE`` pairs, which win; None if there are none.

    Raises:
        CommandError: the file cannot be read, or a line or pair is something else.
    """
    variables = dict(_read(path)) if path is not None else {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise CommandError(f"--env takes NAME=VALUE, not {pair!r}")
        variables[name] = value
    return variables or None


def _read(path: str) -> Iterator[tuple[str, str]]:
    """Yield the variables in a file. Blank lines and those that start with ``#`` are passed over.

    As in the files that shells and containers read, ``export`` may stand before a name, and quotes around a value.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            lines = file.read().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CommandError(f"cannot read the variables in {path!r}: {why}") from error
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, separator, value = text.removeprefix("export ").partition("=")
        if not separator or name != name.strip():
            # The line may hold a secret, so it is not repeated here.
            raise CommandError(f"line {number} of {path!r} is not NAME=VALUE")
        yield name.strip(), _unquoted(value)


def _unquoted(value: str) -> str:
    is_quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if is_quoted else value
