"""Memory and Duration: how people write them, and how each scheduler reads them."""

from __future__ import annotations

import copy
import math
import pickle

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from molq.quantities import Duration, Memory

LARGEST = 2**63 - 1
KIB, MIB, GIB, TIB, PIB = (1024**power for power in range(1, 6))
MINUTE, HOUR, DAY = 60, 3_600, 86_400

amounts = st.integers(min_value=0, max_value=LARGEST)

JUNK = [
    "",
    " ",
    "\0",
    "G",
    "-1",
    "+1",
    "1_000",
    "1e3",
    "0x10",
    "nan",
    "inf",
    "8 G G",
    "8G8G",
    "8G\n8G",
    "8\n9",
    "\u0663",
    "\u0663G",
    "\uff18G",
    "²",
    "1,5G",
    "xx5mzz",
    "$(id)",
    "8;G",
    "9" * 50,
]


# Memory


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8G", 8 * GIB),
        ("8g", 8 * GIB),
        ("8GB", 8 * GIB),
        ("8GiB", 8 * GIB),
        ("8gib", 8 * GIB),
        ("8 GB", 8 * GIB),
        ("  8G  ", 8 * GIB),
        ("512M", 512 * MIB),
        ("512K", 512 * KIB),
        ("1.5T", 3 * TIB // 2),
        ("2P", 2 * PIB),
        ("7B", 7),
        ("0", 0),
        ("0.5K", 512),
        ("0.0001K", 1),
        ("1.1G", 1_181_116_007),
        ("0." + "0" * 19 + "1K", 1),
    ],
)
def test_memory_is_read_as_people_write_it(text, expected):
    assert Memory.parse(text) == Memory(expected)


def test_a_bare_number_is_bytes():
    assert Memory.parse("4096").bytes == 4096


@pytest.mark.parametrize("text", [*JUNK, "8X", "8KIB8", "8BB", "8iB", "8Kb.", ".5G", "5.G", "8\u212a", "-5G", "1.5.5G"])
def test_what_is_no_amount_of_memory_is_refused_with_the_value_and_an_example(text):
    with pytest.raises(ValueError) as caught:
        Memory.parse(text)

    assert repr(text) in str(caught.value)
    assert "'8G'" in str(caught.value)


@pytest.mark.parametrize("text", ["1.5", "0.5B", "1.0"])
def test_there_is_no_part_of_a_byte(text):
    with pytest.raises(ValueError, match=r"part of a byte.*'8G'"):
        Memory.parse(text)


@pytest.mark.parametrize("text", ["8192P", "9223372036854775808", "99999999999999999999T"])
def test_more_memory_than_63_bits_is_refused(text):
    with pytest.raises(ValueError, match=r"too much memory.*'8G'"):
        Memory.parse(text)


@pytest.mark.parametrize("value", [None, 8, 8.0, True, b"8G", ["8G"]])
def test_only_text_is_parsed_as_memory(value):
    with pytest.raises(ValueError, match="is no amount of memory"):
        Memory.parse(value)


@pytest.mark.parametrize(("make", "unit"), [(Memory.kb, KIB), (Memory.mb, MIB), (Memory.gb, GIB), (Memory.tb, TIB)])
def test_memory_is_made_in_units_of_1024(make, unit):
    assert make(0) == Memory(0)
    assert make(3) == Memory(3 * unit)
    assert make(1.5) == Memory(3 * unit // 2)
    assert make(LARGEST // unit).bytes == LARGEST // unit * unit


def test_a_part_of_a_byte_is_rounded_up():
    assert Memory.kb(0.0001) == Memory(1)
    assert Memory.kb(5e-324) == Memory(1)
    assert Memory.gb(1.1) == Memory.parse("1.1G")


BAD_AMOUNTS = [-1, -0.5, math.nan, math.inf, -math.inf, 1e308, 10**400, True, False, None, "4", b"4", [4]]


@pytest.mark.parametrize("value", BAD_AMOUNTS)
@pytest.mark.parametrize("make", [Memory.kb, Memory.mb, Memory.gb, Memory.tb, Duration.minutes, Duration.hours])
def test_an_amount_is_a_number_in_range(make, value):
    with pytest.raises(ValueError) as caught:
        make(value)

    assert repr(value) in str(caught.value)
    assert f"{make.__self__.__name__}.{make.__name__}" in str(caught.value)
    assert "such as 4 or 1.5" in str(caught.value)


@pytest.mark.parametrize("value", [-1, LARGEST + 1, 10**400, 1.0, True, False, None, "8", b"8", math.nan])
@pytest.mark.parametrize(("kind", "unit"), [(Memory, "bytes"), (Duration, "seconds")])
def test_a_quantity_holds_a_whole_number_in_range_and_says_how_to_read_text(kind, unit, value):
    with pytest.raises(ValueError) as caught:
        kind(value)

    assert repr(value) in str(caught.value)
    assert f"whole number of {unit}" in str(caught.value)
    assert f"{kind.__name__}.parse: write it as" in str(caught.value)


@pytest.mark.parametrize("kind", [Memory, Duration])
def test_the_ends_of_the_range_are_quantities(kind):
    assert attrs.astuple(kind(0)) == (0,)
    assert attrs.astuple(kind(LARGEST)) == (LARGEST,)


@pytest.mark.parametrize(
    ("memory", "text"),
    [
        (Memory(0), "0B"),
        (Memory(1000), "1000B"),
        (Memory(1024), "1K"),
        (Memory.mb(1536), "1536M"),
        (Memory.gb(32), "32G"),
        (Memory.tb(1), "1T"),
        (Memory(PIB), "1P"),
        (Memory(LARGEST), "9223372036854775807B"),
    ],
)
def test_memory_prints_as_its_shortest_exact_form(memory, text):
    assert str(memory) == text


@given(amounts)
def test_printed_memory_reads_back(amount):
    memory = Memory(amount)

    assert Memory.parse(str(memory)) == memory
    assert Memory.parse(str(memory).lower()) == memory
    assert Memory.parse(str(amount)) == memory


@pytest.mark.parametrize(
    ("memory", "slurm", "pbs", "lsf_kb"),
    [
        (Memory(0), "0K", "0b", 0),
        (Memory(1), "1K", "1b", 1),
        (Memory(1000), "1K", "1000b", 1),
        (Memory(1024), "1K", "1kb", 1),
        (Memory(1025), "2K", "1025b", 2),
        (Memory.kb(1536), "1536K", "1536kb", 1536),
        (Memory(MIB - 1), "1M", "1048575b", 1024),
        (Memory.mb(1), "1M", "1mb", 1024),
        (Memory.gb(1.5), "1536M", "1536mb", 1536 * 1024),
        (Memory.gb(32), "32G", "32gb", 32 * 1024**2),
        (Memory.tb(2), "2T", "2tb", 2 * 1024**3),
        (Memory(PIB), "1024T", "1024tb", 1024**4),
    ],
)
def test_memory_is_written_as_each_scheduler_reads_it(memory, slurm, pbs, lsf_kb):
    assert (memory.to_slurm(), memory.to_pbs(), memory.to_lsf_kb()) == (slurm, pbs, lsf_kb)


@given(amounts)
def test_slurm_always_gets_a_unit_and_never_less_memory_than_asked(amount):
    unit = {"K": KIB, "M": MIB, "G": GIB, "T": TIB}

    written = Memory(amount).to_slurm()

    granted = int(written[:-1]) * unit[written[-1]]
    assert amount <= granted < amount + KIB


@given(amounts)
def test_pbs_gets_exactly_the_memory_that_was_asked(amount):
    unit = {"b": 1, "kb": KIB, "mb": MIB, "gb": GIB, "tb": TIB}

    written = Memory(amount).to_pbs()

    digits = written.rstrip("bkmgt")
    assert int(digits) * unit[written[len(digits) :]] == amount


@given(amounts)
def test_lsf_gets_whole_kilobytes_rounded_up(amount):
    assert amount <= Memory(amount).to_lsf_kb() * KIB < amount + KIB


# Duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0s", 0),
        ("45s", 45),
        ("90m", 90 * MINUTE),
        ("2h30m", 2 * HOUR + 30 * MINUTE),
        ("2H30M", 2 * HOUR + 30 * MINUTE),
        ("2d", 2 * DAY),
        ("1d2h3m4s", DAY + 2 * HOUR + 3 * MINUTE + 4),
        ("  2h ", 2 * HOUR),
        ("100h", 100 * HOUR),
        ("04:00:00", 4 * HOUR),
        ("4:00:00", 4 * HOUR),
        ("100:00:00", 100 * HOUR),
        ("00:59:59", HOUR - 1),
        ("30:00", 30 * MINUTE),
        ("90:30", 90 * MINUTE + 30),
        ("1-12", DAY + 12 * HOUR),
        ("1-12:30", DAY + 12 * HOUR + 30 * MINUTE),
        ("1-12:30:15", DAY + 12 * HOUR + 30 * MINUTE + 15),
        ("1-0", DAY),
    ],
)
def test_a_duration_is_read_as_people_and_schedulers_write_it(text, expected):
    assert Duration.parse(text) == Duration(expected)


def test_a_bare_number_is_seconds():
    assert Duration.parse("90") == Duration(90)


@pytest.mark.parametrize(
    "text",
    [
        *JUNK,
        "-5m",
        "5m-",
        "30m2h",
        "2h 30m",
        "1h1h",
        "1.5h",
        "5x",
        "5min",
        "m",
        "00:60:00",
        "00:00:60",
        "00:99",
        "1:2",
        "1:2:3",
        "1:2:3:4",
        ":30",
        "10:",
        "1-24",
        "1-00:60",
        "1-00:00:60",
        "1-",
        "-1:00:00",
        "1-12:5",
        "\u0660\u0664:\u0660\u0660:\u0660\u0660",
        "UNLIMITED",
    ],
)
def test_what_is_no_length_of_time_is_refused_with_the_value_and_an_example(text):
    with pytest.raises(ValueError) as caught:
        Duration.parse(text)

    assert repr(text) in str(caught.value)
    assert "'2h30m'" in str(caught.value)


@pytest.mark.parametrize("text", ["9223372036854775808", "99999999999999999d", "99999999999999999999:00:00"])
def test_more_time_than_63_bits_of_seconds_is_refused(text):
    with pytest.raises(ValueError, match=r"too long a time.*'2h30m'"):
        Duration.parse(text)


@pytest.mark.parametrize("value", [None, 90, 9.5, True, b"2h", ("2h",)])
def test_only_text_is_parsed_as_a_duration(value):
    with pytest.raises(ValueError, match="is no length of time"):
        Duration.parse(value)


def test_a_duration_is_made_of_minutes_or_hours_rounded_up_to_a_second():
    assert Duration.minutes(90) == Duration(90 * MINUTE)
    assert Duration.hours(2) == Duration(2 * HOUR)
    assert Duration.minutes(2**53 + 1) == Duration((2**53 + 1) * MINUTE)
    assert Duration.minutes(0.5) == Duration(30)
    assert Duration.minutes(0.001) == Duration(1)


@given(st.integers(min_value=0, max_value=10_000))
def test_tenths_of_an_hour_are_no_second_too_long(tenths):
    assert Duration.hours(tenths / 10) == Duration(tenths * 360)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (9000, "2h30m"), (DAY + 12 * HOUR, "1d12h"), (DAY + 1, "1d1s")],
)
def test_a_duration_prints_in_units(seconds, text):
    assert str(Duration(seconds)) == text


@given(amounts)
def test_a_printed_duration_reads_back_from_each_form(amount):
    duration = Duration(amount)

    assert Duration.parse(str(duration)) == duration
    assert Duration.parse(str(duration).upper()) == duration
    assert Duration.parse(str(amount)) == duration
    assert Duration.parse(duration.to_slurm()) == duration
    assert Duration.parse(duration.to_pbs()) == duration


@pytest.mark.parametrize(
    ("seconds", "slurm", "pbs", "lsf_minutes"),
    [
        (1, "00:00:01", "00:00:01", 1),
        (60, "00:01:00", "00:01:00", 1),
        (61, "00:01:01", "00:01:01", 2),
        (4 * HOUR, "04:00:00", "04:00:00", 240),
        (DAY - 1, "23:59:59", "23:59:59", 1440),
        (DAY, "1-00:00:00", "24:00:00", 1440),
        (10 * DAY + 3723, "10-01:02:03", "241:02:03", 10 * 1440 + 63),
    ],
)
def test_a_duration_is_written_as_each_scheduler_reads_it(seconds, slurm, pbs, lsf_minutes):
    duration = Duration(seconds)

    assert (duration.to_slurm(), duration.to_pbs(), duration.to_lsf_minutes()) == (slurm, pbs, lsf_minutes)


# Both


@pytest.mark.parametrize("parse", [Memory.parse, Duration.parse])
@pytest.mark.parametrize("piece", ["9", " ", "1:", "1d", "9.", "0 ", "1-", "G", "\n", "1h1m", "x"])
def test_junk_of_any_length_is_refused_in_linear_time(parse, piece):
    with pytest.raises(ValueError):
        parse(piece * 200_000 + "!")


@given(st.text())
def test_any_text_is_a_quantity_or_a_value_error(text):
    for kind in (Memory, Duration):
        try:
            assert kind.parse(str(kind.parse(text))) == kind.parse(text)
        except ValueError as error:
            assert repr(text) in str(error)


@pytest.mark.parametrize("kind", [Memory, Duration])
def test_a_quantity_is_a_value(kind):
    small, large = kind(1), kind(2)

    assert small < large
    assert max(large, small) is large
    assert {kind(1): "x"}[small] == "x"
    assert small != 1
    assert pickle.loads(pickle.dumps(small)) == small
    assert copy.deepcopy(small) == small
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(small, attrs.fields(kind)[0].name, 5)


def test_memory_and_time_are_never_equal_or_ordered():
    assert Memory(1) != Duration(1)
    with pytest.raises(TypeError):
        assert Memory(1) < Duration(2)
