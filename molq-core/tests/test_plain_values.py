"""Plain values are read strictly, with every problem at its place, and written so that they are read back."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

from molq.plain_problems import PlainValueError, Problem, suggestion
from molq.plain_values import read, to_plain
from molq.quantities import Duration, Memory
from molq.typed_text import from_text


class _Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


def _positive(_instance: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if value < 1:
        raise ValueError(f"_Inner.{attribute.name} must be at least 1, not {value}")


@attrs.frozen
class _Inner:
    size: int = attrs.field(default=1, validator=_positive)
    rate: float = 1.0
    low: int = 0
    high: int = 9

    def __attrs_post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low must not be above high")


@attrs.frozen
class _Item:
    name: str
    is_new: bool = False


@attrs.frozen
class _Outer:
    inner: _Inner | None = None
    memory: Memory | None = None
    time: Duration = attrs.field(factory=lambda: Duration(60))
    words: tuple[str, ...] = ()
    items: tuple[_Item, ...] = ()
    mode: Literal["fast", "slow"] = "fast"
    colours: tuple[_Colour, ...] = (_Colour.RED,)
    place: Path | str | None = None
    secret: dict[str, str] | None = attrs.field(default=None, repr=False)


def _problems(plain: object, kind: Any = _Outer) -> dict[tuple[str | int, ...], str]:
    with pytest.raises(PlainValueError) as caught:
        read(plain, kind)
    return {problem.path: problem.sentence for problem in caught.value.problems}


def test_what_is_written_is_read_back():
    value = _Outer(
        inner=_Inner(size=3, rate=0.5),
        memory=Memory.gb(2),
        time=Duration.hours(2),
        words=("a", "b"),
        items=(_Item("x"), _Item("y", is_new=True)),
        mode="slow",
        colours=(_Colour.BLUE,),
        place="/a b",
        secret={"K": "v"},
    )

    assert read(to_plain(value), _Outer) == value
    assert to_plain(_Outer()) == {}
    assert to_plain(_Outer(memory=Memory.gb(2), colours=(_Colour.BLUE,))) == {"memory": "2G", "colours": ["blue"]}


def test_a_bare_number_is_bytes_or_seconds():
    assert read({"memory": 1024, "time": 90}, _Outer) == _Outer(memory=Memory.kb(1), time=Duration(90))


def test_a_whole_number_does_for_a_number():
    assert read({"rate": 2}, _Inner).rate == 2


@pytest.mark.parametrize(
    ("plain", "path", "sentence"),
    [
        ({"inner": 3}, ("inner",), "must be a table with keys such as size, rate, low, not 3"),
        ({"inner": {"size": "3"}}, ("inner", "size"), "must be a whole number, not '3'"),
        ({"inner": {"size": 3.0}}, ("inner", "size"), "must be a whole number, not 3.0"),
        ({"inner": {"size": True}}, ("inner", "size"), "must be a whole number, not true"),
        ({"inner": {"size": 0}}, ("inner", "size"), "must be at least 1, not 0"),
        ({"inner": {"rate": "1"}}, ("inner", "rate"), "must be a number, not '1'"),
        ({"inner": {"low": 5, "high": 4}}, ("inner",), "low must not be above high"),
        ({"memory": "5X"}, ("memory",), "'5X' is no amount of memory"),
        ({"memory": -1}, ("memory",), "Memory takes a whole number of bytes from 0"),
        ({"memory": 1.5}, ("memory",), "must be a text in quotes, not 1.5: write it as '8G'"),
        ({"time": True}, ("time",), "must be a text in quotes, not true: write it as '2h30m'"),
        ({"time": "-5m"}, ("time",), "'-5m' is no length of time"),
        ({"words": "a"}, ("words",), "must be a list in brackets, not 'a'"),
        ({"words": ["a", 1]}, ("words", 1), "must be a text in quotes, not 1"),
        ({"items": [{"name": "x"}, {}]}, ("items", 1), "lacks the key name"),
        ({"items": [{"name": "x", "is_new": 1}]}, ("items", 0, "is_new"), "must be true or false, not 1"),
        ({"mode": "fat"}, ("mode",), "must be one of 'fast', 'slow' (did you mean 'fast'?), not 'fat'"),
        ({"colours": ["green"]}, ("colours", 0), "must be one of 'red', 'blue', not 'green'"),
        ({"place": 3}, ("place",), "must be a path in quotes, not 3"),
        ({"memroy": "1G"}, ("memroy",), "there is no such key; did you mean 'memory'?"),
        ({"xyz": 1}, ("xyz",), "there is no such key; there are inner, memory, time"),
        ("text", (), "must be a table with keys such as inner, memory, time, not 'text'"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(plain: object, path: tuple[str | int, ...], sentence: str):
    ((found, told),) = _problems(plain).items()

    assert found == path
    assert told.startswith(sentence)


def test_every_problem_is_found_at_once():
    plain = {"inner": {"size": 0, "rate": "x", "speed": 1}, "memory": "1Z", "words": [1, 2], "mode": 3}

    assert list(_problems(plain)) == [
        ("inner", "size"),
        ("inner", "rate"),
        ("inner", "speed"),
        ("memory",),
        ("words", 0),
        ("words", 1),
        ("mode",),
    ]


def test_a_value_that_may_be_a_secret_is_not_told():
    told = [*_problems({"secret": {"TOKEN": 7391}}).values(), *_problems({"secret": "canary-7391"}).values()]
    told += _problems({"secert": {"TOKEN": "canary-7391"}, "TOKEN": "canary-7391"}).values()

    assert "7391" not in " ".join(told)
    assert told[0] == "must be a text in quotes"


def test_what_is_given_beside_the_table_counts_as_set():
    assert Problem(("a",), "wrong").under("b") == Problem(("b", "a"), "wrong")
    assert read({"name": "x"}, _Item) == _Item("x")


@pytest.mark.parametrize(
    ("text", "kind", "plain"),
    [
        ("4", int, 4),
        ("-4", int | None, -4),
        ("four", int, "four"),
        ("2", float, 2),
        ("0.5", float | None, 0.5),
        ("yes", bool, True),
        ("False", bool, False),
        ("maybe", bool, "maybe"),
        ("32G", Memory | None, "32G"),
        ("4", str | None, "4"),
        ("a,b", tuple[str, ...], ["a", "b"]),
        ("75, 137", tuple[int, ...] | None, [75, 137]),
        ('["--exclude=n1,n2", "--nice"]', tuple[str, ...], ["--exclude=n1,n2", "--nice"]),
        ("[oops", tuple[str, ...], "[oops"),
        ("", tuple[str, ...], []),
        ("9" * 30, int, "9" * 30),
    ],
)
def test_a_typed_text_means_what_its_key_takes(text: str, kind: Any, plain: object):
    meant = from_text(text, kind)

    assert (meant, type(meant)) == (plain, type(plain))


def test_a_misspelt_word_is_answered_with_the_nearest_or_with_all():
    assert suggestion("memroy", ["memory", "time"]) == "did you mean 'memory'?"
    assert suggestion("zzz", ["memory", "time"]) == "there are memory, time"
    assert suggestion("zzz", []) == "there are none"
