"""Change one value in the text of a TOML file, and leave every other character of it as it is.

tomlkit changes a whole document well only in the order that it would have written itself: a key that is added to a
table, for one, comes behind the comment that stands above the next table. So the text is cut into statements, of which
one is changed by tomlkit, added or left out, and the outcome is compared with what should come of it.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import tomlkit

from molq.toml_keys import dotted
from molq.toml_statements import EditError, Kind, Path, Statement, depth_of, statements


def set_value(text: str, path: Path, value: Any) -> str:
    """Return the text of a file in which the key at ``path`` has a value. Tables are made as they are needed.

    Args:
        text: the text, which is TOML.
        path: the key, which is in a table.
        value: a text, number or list.

    Raises:
        EditError: that cannot be done without changing more, as where a table is in the way.
    """
    found = [*statements(text)]
    expected = copy.deepcopy(tomllib.loads(text))
    _put(expected, path, value)
    changed = _replaced(found, path, value) or _added(found, path, value)
    if "\r\n" in text:
        changed = [re.sub(r"(?<!\r)\n", "\r\n", part) for part in changed]
    return _checked(changed, expected, path)


def remove(text: str, path: Path) -> str:
    """Return the text of a file without the key or table at ``path``, which must be there.

    Raises:
        EditError: that cannot be done without changing more.
    """
    expected = copy.deepcopy(tomllib.loads(text))
    parent = expected
    for key in path[:-1]:
        parent = parent[key]
    del parent[path[-1]]
    return _checked(_left_out(text, path), expected, path, or_empty=True)


def _left_out(text: str, path: Path) -> list[str]:
    """Return the texts of the statements that are not at ``path`` or below it."""
    kept: list[str] = []
    below: list[str] = []
    for statement in statements(text):
        if statement.table[: len(path)] == path:
            if statement.kind is Kind.HEADER and not below:
                _drop_comment_above(kept)
            below = [*below, statement.text] if statement.kind is Kind.TRIVIA else [""]
            continue
        kept += _above_the_next(kept, below)
        below = []
        rest = path[len(statement.table) :]
        holds = statement.kind is Kind.PAIR and statement.table == path[: len(statement.table)]
        kept.append(
            _without(statement, rest) if holds and depth_of(statement.plain, rest) == len(rest) else statement.text
        )
    return kept


def _replaced(parts: Sequence[Statement], path: Path, value: Any) -> list[str] | None:
    """Return the texts with the value in the place of the old one; None if there is no old one."""
    for index, statement in enumerate(parts):
        rest = path[len(statement.table) :]
        holds = statement.kind is Kind.PAIR and rest and statement.table == path[: len(statement.table)]
        if holds and depth_of(statement.plain, rest) == len(rest):
            document = tomlkit.parse(statement.text)
            node: Any = document
            for key in rest[:-1]:
                node = node[key]
            node[rest[-1]] = value
            texts = [s.text for s in parts]
            texts[index] = tomlkit.dumps(document)
            return texts
    return None


def _added(parts: Sequence[Statement], path: Path, value: Any) -> list[str]:
    texts = [s.text for s in parts]
    holder = _deepest_holder(parts, path)
    if holder is not None:
        statement = parts[holder]
        rest = path[len(statement.table) :]
        inside = _added_inside(statement, rest, value)
        if inside is not None:
            texts[holder] = inside
        else:
            texts.insert(holder + 1, _pair(rest, value))
        return texts
    header = next((i for i, s in enumerate(parts) if s.kind is Kind.HEADER and s.table == path[:-1]), None)
    if header is not None:
        texts.insert(_last_pair(parts, header, path[:-1]) + 1, _pair(path[-1:], value))
        return texts
    section = [f"[{dotted(path[:-1])}]\n", _pair(path[-1:], value)]
    place = _end_of(parts, path[:2])
    return [*texts[:place], *(["\n"] if texts[:place] else []), *section, *texts[place:]]


def _end_of(parts: Sequence[Statement], table: Path) -> int:
    """Return where a new section of a table goes: behind its last one, and what is written right below that."""
    kin = [i for i, s in enumerate(parts) if s.kind is not Kind.TRIVIA and s.table[: len(table)] == table]
    if not kin:
        return len(parts)
    last = kin[-1] + 1
    below = last
    while below < len(parts) and parts[below].text.lstrip().startswith("#"):
        below += 1
    # A comment without a gap before the next header is about that.
    is_header_next = below < len(parts) and parts[below].kind is Kind.HEADER
    return last if is_header_next else below


def _deepest_holder(parts: Sequence[Statement], path: Path) -> int | None:
    """Return the last of the pairs that make the deepest table around ``path``, by dots or in braces."""
    best, deepest = None, 0
    for index, statement in enumerate(parts):
        rest = path[len(statement.table) : -1]
        if statement.kind is Kind.PAIR and statement.table == path[: len(statement.table)]:
            depth = depth_of(statement.plain, rest)
            if depth and len(statement.table) + depth >= deepest:
                best, deepest = index, len(statement.table) + depth
    is_header = any(s.kind is Kind.HEADER and s.table == path[:-1] for s in parts)
    return None if is_header else best


def _added_inside(statement: Statement, rest: Path, value: Any) -> str | None:
    """Return a pair whose table in braces has one value more; None if its tables are made by dots."""
    document = tomlkit.parse(statement.text)
    node: Any = document
    depth = depth_of(statement.plain, rest)
    for key in rest[:depth]:
        node = node[key]
    if not isinstance(node, tomlkit.items.InlineTable):
        return None
    for key in reversed(rest[depth + 1 :]):
        table = tomlkit.inline_table()
        table[key] = value
        value = table
    node[rest[depth]] = value
    return tomlkit.dumps(document)


def _last_pair(parts: Sequence[Statement], header: int, table: Path) -> int:
    last = header
    for index in range(header + 1, len(parts)):
        statement = parts[index]
        if statement.kind is Kind.HEADER:
            break
        if statement.kind is Kind.PAIR and statement.table == table:
            last = index
    return last


def _pair(keys: Path, value: Any) -> str:
    return f"{dotted(keys)} = {tomlkit.item(value).as_string()}\n"


def _without(statement: Statement, rest: Path) -> str:
    """Return a pair without one of its keys; without anything if that was all."""
    document = tomlkit.parse(statement.text)
    node: Any = document
    for key in rest[:-1]:
        node = node[key]
    if not isinstance(node, tomlkit.items.InlineTable):
        return ""
    del node[rest[-1]]
    return tomlkit.dumps(document)


def _drop_comment_above(kept: list[str]) -> None:
    """Leave out the comment that stands right above a header, unless it may be about the file as a whole."""
    above = len(kept)
    while above and kept[above - 1].lstrip().startswith("#"):
        above -= 1
    if above:
        del kept[above:]


def _above_the_next(kept: Sequence[str], below: Sequence[str]) -> list[str]:
    """Return what stands below the last pair that is left out, and belongs to the next header: from a gap on.

    Without a gap it is all right above that header, and so about it.
    """
    gap = next((i for i, text in enumerate(below) if text and not text.strip()), None)
    if gap is None:
        return [*below]
    is_double = not kept or not kept[-1].strip()
    return [*below[gap + 1 if is_double else gap :]]


def _put(plain: dict[str, Any], path: Path, value: Any) -> None:
    for depth, key in enumerate(path[:-1], start=1):
        plain = plain.setdefault(key, {})
        if not isinstance(plain, dict):
            raise EditError(f"{dotted(path[:depth])} is no table, so nothing can be set in it")
    plain[path[-1]] = value


def _checked(texts: Sequence[str], expected: Mapping[str, Any], path: Path, *, or_empty: bool = False) -> str:
    """Return the new text, after making sure that it says what it should."""
    lines = [*texts]
    for index, line in enumerate(lines[:-1]):
        if line and not line.endswith("\n"):
            lines[index] = line + "\n"
    text = "".join(lines)
    try:
        plain = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _cannot(path) from error
    if plain != expected and not (or_empty and _pruned(plain) == _pruned(expected)):
        raise _cannot(path)
    return text


def _pruned(plain: Any) -> Any:
    """Return tables without those that are empty: a header may go with its last key, and a table with its header."""
    if not isinstance(plain, Mapping):
        return plain
    kept = {key: _pruned(value) for key, value in plain.items()}
    return {key: value for key, value in kept.items() if value != {}}


def _cannot(path: Path) -> EditError:
    return EditError(f"{dotted(path)} cannot be changed alone in the way this file is written")
