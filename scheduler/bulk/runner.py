"""Runs a job: feeds its lines to the scheduler in order of priority, and writes results as they come.

Lines are submitted a window ahead, so that the queue always has something of every priority at hand and memory stays
flat. The first window is paced: hundreds of TLS handshakes in one tick time out together, and a bucket that starts full
loses nothing while it is being emptied. The pacing is aiolimiter's: a plain rate of ones, on asyncio, which a job runs
on anyway.
"""

import signal
from dataclasses import dataclass, field

import anyio
from aiolimiter import AsyncLimiter

from scheduler.bulk.reader import Item, JobFile
from scheduler.bulk.results import Results
from scheduler.bulk.work import Work
from scheduler.errors import QuotaExhausted, SchedulerError
from scheduler.facade import Scheduler
from scheduler.http.driver import Answer, Job

WINDOW = 2_000
"""Lines that are submitted at a time: waiting, or in flight."""
_RAMP = 50, 0.1  # first submissions: at most 50 in a tenth of a second


@dataclass(slots=True)
class Progress:
    """How far a job is; changes as it runs.

    Attributes:
        total: Lines to be sent.
        skipped: Lines whose results were there already.
        bad: Lines that cannot be sent.
        succeeded: Lines that succeeded.
        failed: Lines that were sent and failed.
        submitted: Lines that were handed to the scheduler.
        work: What is still to be charged.
        shortest: The shortest latency seen, in nanoseconds, or None.
        stopped: Why the job was stopped before its end, or "".
        interrupted: Whether a signal stopped it.
    """

    total: int = 0
    skipped: int = 0
    bad: int = 0
    succeeded: int = 0
    failed: int = 0
    submitted: int = 0
    work: Work = field(default_factory=Work)
    shortest: int | None = None
    stopped: str = ""
    interrupted: bool = False

    @property
    def done(self) -> int:
        """Lines that have ended."""
        return self.succeeded + self.failed


class Runner:
    """Runs the items of a job once."""

    def __init__(self, scheduler: Scheduler, job: JobFile, results: Results, progress: Progress) -> None:
        """Send by *scheduler* what *job* holds; write to *results*, and tell *progress*."""
        self._scheduler = scheduler
        self._job = job
        self._results = results
        self._progress = progress
        self._scope = anyio.CancelScope()

    async def run(self, items: list[Item]) -> None:
        """Run *items*, lowest priority number first; returns early if interrupted or out of credit."""
        items.sort(key=lambda item: (item.priority, item.line))
        for item in items:
            self._progress.work.add(item.model, item.project, item.charge)
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch_signals)
            with self._scope:
                await self._feed(items)
            group.cancel_scope.cancel()

    def stop(self, why: str) -> None:
        """Stop the job; what is in flight is given up."""
        self._progress.stopped = self._progress.stopped or why
        self._scope.cancel()

    async def _watch_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                self._progress.interrupted = True
                self.stop("interrupted")

    async def _feed(self, items: list[Item]) -> None:
        slots = anyio.Semaphore(WINDOW)
        ramp = AsyncLimiter(*_RAMP)
        async with anyio.create_task_group() as workers:
            for number, item in enumerate(items):
                await slots.acquire()
                if number < WINDOW:
                    await ramp.acquire()
                self._progress.submitted += 1
                workers.start_soon(self._one, item, slots)

    async def _one(self, item: Item, slots: anyio.Semaphore) -> None:
        call, content = self._job.load(item)
        job = Job(call, content, item.priority, item.tenant, item.project)
        answer = await self._scheduler.driver.perform(job)
        self._take_note(item, answer)
        slots.release()

    def _take_note(self, item: Item, answer: Answer) -> None:
        progress = self._progress
        progress.work.remove(item.model, item.project, item.charge)
        if answer.error is None:
            self._results.success(item.custom_id, answer)
            progress.succeeded += 1
            progress.shortest = answer.latency if progress.shortest is None else min(progress.shortest, answer.latency)
        else:
            self._results.failure(item.custom_id, answer, answer.error)
            progress.failed += 1
            self._stop_if_hopeless(answer.error)

    def _stop_if_hopeless(self, error: SchedulerError) -> None:
        if isinstance(error, QuotaExhausted):  # every other line would be refused for the same reason
            self.stop(str(error))
