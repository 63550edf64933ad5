"""Runs a job: feeds its lines to the scheduler in order of priority, and writes results as they come.

Lines are submitted a window ahead (``backlog``), so that the queue always has something at hand and memory stays flat.
The first submissions are paced: hundreds of TLS handshakes in one tick time out together, and a bucket that starts full
loses nothing while it is being emptied. The pacing is aiolimiter's: a plain rate of ones, on asyncio, which a job runs
on anyway. So do its tasks: one of anyio's with a scope of its own costs 70 us a line more.

A job that is stopped sends nothing more and waits for what is in flight, since that is paid for. A signal bounds that
wait, and a second one ends it.
"""

import asyncio
import signal
from collections.abc import Collection
from contextlib import suppress

import anyio
from aiolimiter import AsyncLimiter

from scheduler.bulk.backlog import WINDOW, Backlog
from scheduler.bulk.progress import Progress
from scheduler.bulk.reader import Item, JobFile
from scheduler.bulk.results import Results
from scheduler.errors import InvalidRequest, QuotaExhausted
from scheduler.http.driver import Answer, Driver, Job

GRACE = 3.0
"""Seconds that answers in flight may take after a signal."""
_RAMP = 50, 0.1  # first submissions: at most 50 in a tenth of a second


class Runner:
    """Runs the items of a job once."""

    def __init__(self, driver: Driver, job: JobFile, results: Results, progress: Progress) -> None:
        """Send by *driver* what *job* holds; write to *results*, and tell *progress*."""
        self._driver = driver
        self._job = job
        self._results = results
        self._progress = progress
        self._all: asyncio.Timeout | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._waiting: set[_Errand] = set()

    async def run(self, items: Collection[Item]) -> None:
        """Run *items*, lowest priority number first; returns early if it is stopped."""
        backlog = Backlog(items)
        for item in items:
            self._progress.work.add(item.pool, item.project, item.charge)
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch_signals)
            if not self._progress.stopped:
                await self._run_all(backlog)
            group.cancel_scope.cancel()

    def stop(self, why: str, grace: float | None = None) -> None:
        """Send nothing more. What is in flight may take *grace* seconds, or as long as it takes."""
        self._progress.stopped = self._progress.stopped or why
        if self._feeding is None or self._all is None:
            return
        self._feeding.cancel()
        for errand in self._waiting:
            errand.cancel()
        if grace is not None and not self._all.expired():
            deadline = asyncio.get_running_loop().time() + grace
            before = self._all.when()
            self._all.reschedule(deadline if before is None else min(before, deadline))

    async def _run_all(self, backlog: Backlog) -> None:
        with suppress(TimeoutError):  # the grace of a stop has ended
            async with asyncio.timeout(None) as self._all, asyncio.TaskGroup() as errands:
                self._feeding = errands.create_task(self._feed(backlog, errands))

    async def _watch_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                self.stop("interrupted", 0.0 if self._progress.interrupted else GRACE)
                self._progress.interrupted = True

    async def _feed(self, backlog: Backlog, errands: asyncio.TaskGroup) -> None:
        ramp = AsyncLimiter(*_RAMP)
        while (item := await backlog.take()) is not None:
            if self._progress.submitted < WINDOW:
                await ramp.acquire()
            self._progress.submitted += 1
            errand = _Errand(item, self)
            self._waiting.add(errand)
            errand.task = errands.create_task(self._run_errand(errand, backlog))

    async def _run_errand(self, errand: "_Errand", backlog: Backlog) -> None:
        try:
            self._ended(errand, await self._answer(errand))
        finally:
            self._waiting.discard(errand)
            backlog.ended(errand.item)

    async def _answer(self, errand: "_Errand") -> Answer:
        item = errand.item
        try:
            content = self._job.load(item)
        except InvalidRequest as error:
            return Answer(None, error, 0)
        job = Job(item.call, content, item.priority, item.tenant, item.project, on_flight=errand.on_flight)
        return await self._driver.perform(job)

    def on_flight(self, errand: "_Errand", *, begins: bool) -> None:
        """Take note of an attempt that goes out, or of one that has to be made again."""
        item = errand.item
        if begins:
            self._progress.work.remove(item.pool, item.project, item.charge)
            self._waiting.discard(errand)
            return
        self._progress.work.add(item.pool, item.project, item.charge)
        self._waiting.add(errand)
        if self._progress.stopped:
            errand.cancel()

    def _ended(self, errand: "_Errand", answer: Answer) -> None:
        item = errand.item
        if not errand.flies:
            self._progress.work.remove(item.pool, item.project, item.charge)
        try:
            if answer.error is None:
                self._results.success(item.custom_id, answer)
                self._progress.success(answer.latency)
            else:
                self._results.failure(item.custom_id, answer, answer.error)
                self._progress.failed += 1
        except OSError as error:
            self.stop(f"{error.filename} cannot be written: {error.strerror}", 0.0)
        if isinstance(answer.error, QuotaExhausted):  # every other line would be refused for the same reason
            self.stop(str(answer.error))


class _Errand:
    """One line on its way.

    Attributes:
        item: The line.
        task: Carries it out.
        flies: Whether it is in flight.
    """

    __slots__ = ("_runner", "flies", "item", "task")

    def __init__(self, item: Item, runner: Runner) -> None:
        self.item = item
        self.task: asyncio.Task[None] | None = None
        self.flies = False
        self._runner = runner

    def cancel(self) -> None:
        """End it."""
        if self.task is not None:
            self.task.cancel()

    def on_flight(self, begins: bool) -> None:  # noqa: FBT001 -- the only thing it is told
        """Take note of where it is, and tell the runner."""
        self.flies = begins
        self._runner.on_flight(self, begins=begins)
