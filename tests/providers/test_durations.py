"""Numbers and durations as servers write them."""

import pytest
from hypothesis import given, strategies as st

from scheduler.core.quota import DAY, HOUR, MINUTE, SECOND
from scheduler.providers.durations import LONGEST, MOST, decimal, duration, until, whole_number

MS = 1_000_000


def go_duration(nanoseconds: int) -> str:
    """Print a duration as Go's time.Duration.String does."""
    if nanoseconds < SECOND:
        for unit, size in (("ms", MS), ("\u00b5s", 1000), ("ns", 1)):
            if nanoseconds >= size:
                return f"{decimal_text(nanoseconds, size)}{unit}"
        return "0s"
    minutes, rest = divmod(nanoseconds, MINUTE)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{head}{decimal_text(rest, SECOND)}s"


def decimal_text(number: int, unit: int) -> str:
    """Print number/unit without trailing zeros."""
    whole, fraction = divmod(number, unit)
    digits = str(fraction).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}" if fraction else str(whole)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0s", 0),
        ("0", 0),
        ("1ms", MS),
        ("120ms", 120 * MS),
        ("8.64s", 8640 * MS),
        ("34.066s", 34_066 * MS),
        ("1m26.4s", 86_400 * MS),
        ("2m52.8s", 172_800 * MS),
        ("7m12s", 432 * SECOND),
        ("6m0s", 360 * SECOND),
        ("16m17.764s", 977_764 * MS),
        ("20m52.666s", 1_252_666 * MS),
        ("1h23m31s", 5011 * SECOND),
        ("17.399999999s", 17_399_999_999),
        ("1.984999999s", 1_984_999_999),
        ("50.597142857s", 50_597_142_857),
        ("1d2h", DAY + 2 * HOUR),
        ("5\u00b5s", 5000),
        ("5\u03bcs", 5000),
        ("5us", 5000),
        ("7ns", 7),
        (" 6ms ", 6 * MS),
    ],
)
def test_reads_what_servers_print(text: str, nanoseconds: int) -> None:
    """Every duration that was recorded, and every unit, is read to the nanosecond."""
    assert nanoseconds == duration(text)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "s",
            "1",
            "20",
            "1.5",
            "-1s",
            "+1s",
            "1 s",
            "1s2",
            "1,5s",
            "1e3s",
            "NaN",
            "inf",
            "1x",
            ".5s",
            "1.s",
            "1S",
        ),
        *("9" * 400 + "s", "1s" * 40, "999999999d", "\u0661s", "1m-3s"),
    ],
)
def test_refuses_what_is_no_duration(text: str) -> None:
    """Nonsense, bare numbers, negative and absurd values are no durations."""
    assert duration(text) is None


@given(st.integers(0, LONGEST))
def test_round_trip(nanoseconds: int) -> None:
    """What Go prints is read back unchanged."""
    assert nanoseconds == duration(go_duration(nanoseconds))


@given(st.text())
def test_never_raises(text: str) -> None:
    """Any text is a number or nothing, and what is a number is within bounds."""
    for value, most in (
        (duration(text), LONGEST),
        (decimal(text, SECOND), LONGEST),
        (whole_number(text), MOST),
        (until(text, text), LONGEST),
    ):
        assert value is None or 0 <= value <= most


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("30000", 30_000), (" 5 ", 5), ("1" + "0" * 15, 10**15)]
    + [(text, None) for text in ("", "-1", "+1", "1.0", "1e3", "NaN", "1,000", "5, 5", "0x1", "\u0665", "2" + "0" * 15)]
    + [("9" * 400, None)],
)
def test_whole_numbers(text: str, number: int | None) -> None:
    """Only plain digits of a believable size are a number."""
    assert number == whole_number(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds"), [("20", 20 * SECOND), ("0.5", SECOND // 2), ("0", 0), ("-1", None), ("1s", None)]
)
def test_decimals(text: str, nanoseconds: int | None) -> None:
    """A bare number is read in the unit that its header has."""
    assert nanoseconds == decimal(text, SECOND)


@pytest.mark.parametrize(
    ("text", "now", "nanoseconds"),
    [
        ("Fri, 06 Dec 2024 06:39:42 GMT", "Fri, 06 Dec 2024 06:38:42 GMT", MINUTE),
        ("Fri, 06 Dec 2024 06:38:42 GMT", "Fri, 06 Dec 2024 06:39:42 GMT", 0),
        ("Fri, 06 Dec 2024 06:39:42 -0000", "Fri, 06 Dec 2024 06:38:42 GMT", MINUTE),
        ("soon", "Fri, 06 Dec 2024 06:38:42 GMT", None),
        ("Fri, 06 Dec 2024 06:39:42 GMT", "", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", "Fri, 06 Dec 2024 06:38:42 GMT", None),
        ("Fri, 06 Dec 2024 06:39:42 GMT" + " " * 100, "Fri, 06 Dec 2024 06:38:42 GMT", None),
    ],
)
def test_dates(text: str, now: str, nanoseconds: int | None) -> None:
    """A date is read against the answer's own date; what lies in the past is no wait."""
    assert nanoseconds == until(text, now)
