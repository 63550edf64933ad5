"""The test double and virtual time, which users' own tests rely on."""

import time

import anyio
import pytest
from engine_support import Run

from scheduler import RequestTooLarge
from scheduler.testing import Deadlock, Recorder, run


def test_a_day_passes_at_once(on_virtual_time: Run) -> None:
    """Sleeping for a day costs no time, and the clock says that it passed."""

    async def main() -> float:
        await anyio.sleep(86_400)
        return anyio.current_time()

    began = time.monotonic()
    assert on_virtual_time(main) == pytest.approx(86_400)
    assert time.monotonic() - began < 10


def test_a_deadlock_is_an_error() -> None:
    """On asyncio a program that would wait for ever raises."""

    async def main() -> None:
        await anyio.Event().wait()

    with pytest.raises(Deadlock):
        run(main)


def test_a_recorder_made_outside_a_loop(on_virtual_time: Run) -> None:
    """The double may be made anywhere, lets everything through, and keeps what it was asked."""
    double = Recorder()

    @double.throttled(model="m", tokens=5, priority="batch")
    async def program(word: str) -> str:
        return word

    @double.throttled()
    def blocking(number: int) -> int:
        return number + 1

    async def main() -> list[str]:
        return [await program("a"), await program("b")]

    assert on_virtual_time(main) == ["a", "b"]
    assert blocking(1) == 2
    assert [each.charge.tokens for each in double.admitted] == [5, 5, 0]


def test_a_recorder_with_limits() -> None:
    """With limits it is bound as the real one."""
    with pytest.raises(RequestTooLarge):
        Recorder(limits={"m": {"tpm": 5}}).reserve_nowait("m", tokens=6)
