"""Read plain values, as TOML, JSON and command lines have them, into attrs classes, and write them back."""

from __future__ import annotations

import enum
import functools
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs

from molq.plain_problems import PlainValueError, Problem, nearest, refusal, shown, suggestion
from molq.quantities import Duration, Memory

_Kind = TypeVar("_Kind")


def read(plain: object, kind: type[_Kind] | Any) -> _Kind:
    """Return ``plain`` as a value of ``kind``: an attrs class, or any type that one of its fields may have.

    Raises:
        PlainValueError: it does not fit.
    """
    try:
        value: _Kind = _converter().structure(plain, kind)
    except PlainValueError:
        raise
    except Exception as error:
        raise refusal(f"must be {getattr(kind, '__name__', kind)}", shown(plain)) from error
    return value


def read_class(
    plain: object,
    kind: type[_Kind],
    *,
    kinds: Mapping[str, Any] | None = None,
    given: Mapping[str, object] | None = None,
) -> _Kind:
    """Return an attrs class made of a table. Every problem of the table is found, not just the first.

    Args:
        plain: the table.
        kind: the class.
        kinds: the types of the keys that the table may have; by default those of the class's fields.
        given: fields that are set already.

    Raises:
        PlainValueError: it does not fit.
    """
    kinds = field_kinds(kind) if kinds is None else kinds
    if not isinstance(plain, Mapping):
        raise refusal(f"must be a table with keys such as {', '.join([*kinds][:3])}", shown(plain))
    fields = {field.name: field for field in attrs.fields(kind)}  # type: ignore[arg-type]  # callers pass attrs classes
    values = {**(given or {})}
    problems = []
    for key, part in plain.items():
        try:
            if key not in kinds:
                # The value is not told: who misspelt env may have written a secret there.
                raise refusal(f"there is no such key; {suggestion(key, kinds)}")
            values[key] = read(part, kinds[key])
            _check_field(kind, fields[key], values[key])
        except PlainValueError as error:
            found = [problem.under(key) for problem in error.problems]
            is_private = key in fields and not fields[key].repr
            problems += [attrs.evolve(problem, found="") for problem in found] if is_private else found
    needed = [f.name for f in fields.values() if f.init and f.default is attrs.NOTHING]
    problems += [Problem((), f"lacks the key {name}") for name in needed if name not in {**plain, **values}]
    if problems:
        raise PlainValueError(problems)
    try:
        return kind(**{fields[name].alias: value for name, value in values.items()})
    except (TypeError, ValueError) as error:
        raise refusal(str(error)) from error


def field_kinds(kind: type) -> dict[str, Any]:
    """Return the types of an attrs class's fields, by name."""
    attrs.resolve_types(kind)
    return {field.name: field.type for field in attrs.fields(kind) if field.init}


def inner_kind(kind: Any) -> Any:
    """Return ``T`` for ``T | None``, and any other type as it is."""
    if get_origin(kind) not in (Union, types.UnionType):
        return kind
    others = [part for part in get_args(kind) if part is not type(None)]
    return others[0] if len(others) == 1 else kind


def is_class(kind: Any) -> bool:
    """Tell whether a table is read into this type: quantities are attrs classes too, and are written as texts."""
    return attrs.has(kind) and kind not in (Memory, Duration)


def to_plain(value: Any) -> Any:
    """Return a value as texts, numbers, lists and tables, which leave out the fields at their defaults."""
    if isinstance(value, Memory | Duration | PurePath):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if attrs.has(type(value)):
        return {
            field.name: to_plain(getattr(value, field.name))
            for field in attrs.fields(type(value))
            if not _is_default(value, field)
        }
    return value


@functools.cache
def _converter() -> Any:
    # Slow to import, and most options are at their defaults.
    import cattrs

    converter = cattrs.Converter(forbid_extra_keys=True)
    for matches, hook in _HOOKS:
        converter.register_structure_hook_func(matches, hook)
    for quantity in (Memory, Duration):
        converter.register_structure_hook(quantity, _read_quantity)
    # By default, cattrs turns any value into a text or a number.
    for kind, wanted in _PRIMITIVES.items():
        converter.register_structure_hook(kind, _primitive(kind, wanted))
    return converter


def _primitive(kind: type, wanted: str) -> Any:
    takes = (int, float) if kind is float else kind

    def read_primitive(plain: object, exact: type) -> object:
        if issubclass(exact, enum.Enum):
            return _read_choice(plain, exact, [member.value for member in exact])
        if not isinstance(plain, takes) or (isinstance(plain, bool) and kind is not bool):
            raise refusal(f"must be {wanted}", shown(plain))
        return plain

    return read_primitive


_PRIMITIVES = {
    str: "a text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def _read_quantity(plain: object, kind: type[Memory | Duration]) -> Memory | Duration:
    try:
        if isinstance(plain, int) and not isinstance(plain, bool):
            return kind(plain)
        if isinstance(plain, str):
            return kind.parse(plain)
    except ValueError as error:
        raise refusal(str(error)) from error
    raise refusal(f"must be a text in quotes, not {shown(plain)}: {kind.example}")


def _read_path(plain: object, _: object) -> str:
    if not isinstance(plain, str):
        raise refusal("must be a path in quotes", shown(plain))
    return plain


def _read_literal(plain: object, kind: Any) -> object:
    return _read_choice(plain, lambda choice: choice, get_args(kind))


def _read_choice(plain: object, make: Any, choices: Sequence[object]) -> object:
    if plain not in choices or isinstance(plain, bool):
        meant = nearest(plain, map(str, choices))
        hint = f" (did you mean {meant!r}?)" if meant else ""
        raise refusal(f"must be one of {', '.join(map(repr, choices))}{hint}", shown(plain))
    return make(plain)


def _read_tuple(plain: object, kind: Any) -> tuple[object, ...]:
    if not isinstance(plain, list | tuple):
        raise refusal("must be a list in brackets", shown(plain))
    (item, *_) = get_args(kind)
    return tuple(_read_each(enumerate(plain), item).values())


def _read_dict(plain: object, kind: Any) -> dict[str, object]:
    if not isinstance(plain, Mapping):
        raise refusal("must be a table", shown(plain))
    return _read_each(plain.items(), get_args(kind)[1])


def _read_each(items: Iterable[tuple[Any, object]], kind: Any) -> dict[Any, object]:
    values, problems = {}, []
    for key, plain in items:
        try:
            values[key] = read(plain, kind)
        except PlainValueError as error:
            problems += [problem.under(key) for problem in error.problems]
    if problems:
        raise PlainValueError(problems)
    return values


def _is_path_union(kind: object) -> bool:
    parts = get_args(kind)
    return str in parts and any(isinstance(part, type) and issubclass(part, PurePath) for part in parts)


def _is_a(origin: object) -> Callable[[Any], bool]:
    return lambda kind: get_origin(kind) == origin


_HOOKS: tuple[tuple[Any, Any], ...] = (
    (is_class, read_class),
    (_is_path_union, _read_path),
    (_is_a(Literal), _read_literal),
    (_is_a(tuple), _read_tuple),
    (_is_a(dict), _read_dict),
)


def _check_field(kind: type, field: attrs.Attribute[Any], value: object) -> None:
    """Ask the class's own rules about one value alone, so that each problem is told where it is."""
    try:
        convert: Any = field.converter
        if convert is not None:
            value = convert(value)
        if field.validator is not None:
            field.validator(object.__new__(kind), field, value)
    except ValueError as error:
        raise refusal(str(error).removeprefix(f"{kind.__name__}.{field.name} ")) from error
    except Exception:  # noqa: BLE001 - a rule that looks at other fields too is asked when the whole is made
        return


def _is_default(value: Any, field: attrs.Attribute[Any]) -> bool:
    default: Any = field.default
    if getattr(default, "takes_self", False):
        return bool(getattr(value, field.name) == default.factory(value))
    return bool(getattr(value, field.name) == (default.factory() if hasattr(default, "factory") else default))
