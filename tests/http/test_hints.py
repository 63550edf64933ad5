"""What a caller says of a request, by context or by headers."""

import contextlib
import contextvars
import math
from typing import Any

import anyio
import anyio.to_thread
import pytest
from hypothesis import given, strategies as st

from scheduler import ConfigurationError, InvalidRequest, Priority, SchedulerError
from scheduler.core.quota import SECOND
from scheduler.http.hints import LONGEST_NAME, MOST_TOKENS, NOTHING, Hints, current, hints_in, hints_of, within
from scheduler.testing import Recorder

NOW = 1_000 * SECOND


def test_what_people_write() -> None:
    """Names and numbers are taken as they are meant; a deadline counts from now."""
    said = hints_of(NOW, priority="interactive", tenant="acme", deadline=1.5, tokens=7)
    assert said == Hints(Priority.INTERACTIVE, "acme", NOW + 3 * SECOND // 2, 7)
    assert hints_of(NOW, priority=-3, deadline=0) == Hints(-3, None, NOW, None)
    assert hints_of(NOW) == NOTHING


def test_what_headers_say() -> None:
    """Headers mean the same as arguments."""
    headers = {"priority": "batch", "tenant": "acme é", "deadline": "1.5", "tokens": "7"}
    said = hints_in([(f"x-scheduler-{name}", value) for name, value in headers.items()], NOW)
    assert said == Hints(Priority.BATCH, "acme é", NOW + 3 * SECOND // 2, 7)
    assert hints_in([("x-scheduler-priority", "-12")], NOW).priority == -12


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", "urgent"),
        ("priority", ""),
        ("priority", "--1"),
        ("priority", "9" * 5_000),
        ("tenant", "x" * (LONGEST_NAME + 1)),
        ("tenant", "a\nb"),
        ("tenant", "a\x1b[31mb"),
        ("deadline", "soon"),
        ("deadline", "-1"),
        ("deadline", "1e3"),
        ("deadline", "nan"),
        ("deadline", "9" * 30),
        ("tokens", "1.5"),
        ("tokens", "-1"),
        ("tokens", str(MOST_TOKENS + 1)),
        ("tokens", "9" * 5_000),
        ("tokens", ""),
        ("foo", "1"),
        ("", "1"),
        ("x" * 1000, "1"),
    ],
)
def test_hints_that_are_none(name: str, value: str) -> None:
    """What is no hint is refused with a mend, in words of bounded length."""
    with pytest.raises(SchedulerError) as caught:
        hints_in([(f"x-scheduler-{name}", value)], NOW)
    assert isinstance(caught.value, InvalidRequest | ConfigurationError)
    assert caught.value.mend
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "hint",
    [
        {"deadline": math.nan},
        {"deadline": math.inf},
        {"deadline": -0.1},
        {"deadline": True},
        {"tokens": 1.0},
        {"tokens": True},
        {"tenant": 5},
        {"tenant": "\ud800"},
        {"priority": True},
        {"priority": 1.5},
    ],
)
def test_arguments_that_are_none(hint: dict[str, Any]) -> None:
    """What is no number, no name and no time is refused."""
    with pytest.raises((InvalidRequest, ConfigurationError)):
        hints_of(NOW, **hint)


@given(st.lists(st.tuples(st.sampled_from(["priority", "tenant", "deadline", "tokens", "foo"]), st.text()), max_size=4))
def test_any_header_is_a_hint_or_an_error_of_ours(said: list[tuple[str, str]]) -> None:
    """Nothing else is raised, whatever stands in a header."""
    hints = NOTHING
    with contextlib.suppress(SchedulerError):
        hints = hints_in([(f"x-scheduler-{name}", value) for name, value in said], NOW)
    assert hints.tokens is None or 0 <= hints.tokens <= MOST_TOKENS
    assert hints.tenant is None or hints.tenant.isprintable()


maybe = st.none() | st.integers(0, 5)
some_hints = st.builds(Hints, maybe, st.none() | st.sampled_from(["", "a", "b"]), maybe, maybe)


@given(some_hints, some_hints, some_hints)
def test_hints_over_hints(inner: Hints, middle: Hints, outer: Hints) -> None:
    """The inner one counts, of deadlines the earlier, and the grouping does not matter."""
    both = inner.over(outer)
    for said, within_it, around in zip(both, inner, outer, strict=True):
        assert said in {within_it, around}
    assert both.tenant == (outer.tenant if inner.tenant is None else inner.tenant)
    assert both.deadline == min((d for d in (inner.deadline, outer.deadline) if d is not None), default=None)
    assert inner.over(middle).over(outer) == inner.over(middle.over(outer))


def test_contexts_within_contexts() -> None:
    """Inner blocks count before outer ones, the earlier deadline in any case, and each ends with its block."""
    scheduler = Recorder()
    with scheduler.context(priority="batch", tenant="outer", deadline=5, tokens=3):
        with scheduler.context(priority="interactive", deadline=9):
            assert current() == Hints(Priority.INTERACTIVE, "outer", 5 * SECOND, 3)
        with scheduler.context(deadline=2, tenant=""):
            assert current() == Hints(Priority.BATCH, "", 2 * SECOND, 3)
        with contextlib.suppress(ZeroDivisionError), scheduler.context(deadline=1):
            raise ZeroDivisionError
        assert current().deadline == 5 * SECOND
    assert current() == NOTHING


def test_unusable_contexts_are_refused_when_they_are_made() -> None:
    """A context that says nonsense is an error at once, and says nothing afterwards."""
    nonsense: list[dict[str, Any]] = [{"deadline": -1}, {"tokens": "many"}, {"tenant": "a\nb"}, {"priority": "x"}]
    for hints in nonsense:
        with pytest.raises((InvalidRequest, ConfigurationError)):
            Recorder().context(**hints)
    assert current() == NOTHING


def test_contexts_stay_in_their_tasks(on_virtual_time: Any) -> None:
    """Two tasks that interleave see their own; a task started inside a block has it until the task ends."""
    seen: dict[str, list[Any]] = {}

    async def one(name: str) -> None:
        with within(Hints(tenant=name)):
            for _ in range(3):
                await anyio.sleep(0.1)
                seen.setdefault(name, []).append(current().tenant)

    async def child() -> None:
        await anyio.sleep(1)
        seen["child"] = [current().tenant]

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(one, "a")
            group.start_soon(one, "b")
            with within(Hints(tenant="parent")):
                group.start_soon(child)
            await anyio.sleep(0.05)
            assert current() == NOTHING

    on_virtual_time(main)
    assert seen == {"a": ["a"] * 3, "b": ["b"] * 3, "child": ["parent"]}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_contexts_go_along_into_threads(backend: str) -> None:
    """What a task says holds in a thread that it starts; a bare thread begins with nothing."""

    async def main() -> None:
        with within(Hints(tenant="acme")):
            assert (await anyio.to_thread.run_sync(current)).tenant == "acme"
            if backend == "asyncio":
                import asyncio  # noqa: PLC0415 -- where it runs

                assert (await asyncio.to_thread(current)).tenant == "acme"
        assert contextvars.Context().run(current) == NOTHING

    anyio.run(main, backend=backend)
