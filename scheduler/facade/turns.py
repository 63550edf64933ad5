"""One attempt at a time: turns, which need no lifecycle and no HTTP."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from scheduler.checks import named, nanoseconds, not_negative
from scheduler.core.quota import Charge
from scheduler.engine.reservation import Reservation
from scheduler.engine.waiter import Waiter
from scheduler.facade.configured import Configured
from scheduler.priority import Priority, priority_of

P = ParamSpec("P")
R = TypeVar("R")


class Turns(Configured):
    """Gives turns."""

    def reserve(
        self,
        model: str = "",
        *,
        tokens: int = 0,
        requests: int = 1,
        images: int = 0,
        input_tokens: int = 0,
        output_tokens: int = 0,
        priority: int | str = Priority.NORMAL,
        tenant: str = "",
        project: str | None = None,
        timeout: float | None = None,
        endpoint: str = "",
    ) -> Waiter:
        """Wait for a turn: ``async with scheduler.reserve(...) as reservation``, or ``with`` in a thread.

        Leaving the block unsettled keeps the charge; an exception makes the outcome unknown and keeps it too.

        Args:
            model: Model that the request names.
            tokens: Tokens that it is expected to be charged, in and out.
            requests: Requests that it counts as.
            images: Images that it is charged.
            input_tokens: Tokens charged to limits of input alone.
            output_tokens: Tokens charged to limits of output alone.
            priority: Who goes first; the lowest.
            tenant: On whose behalf it is sent; tenants of one priority share by their weights.
            project: Project that it is sent in.
            timeout: Seconds that it may wait. Of one tenant's requests the earliest deadline goes first.
            endpoint: Path that it is sent to, such as ``/v1/chat/completions``: by it the statistics of charges go.

        Raises:
            RequestTooLarge: On entering, if it can never go.
            QueueFull: On entering, if as many wait as may.
            DeadlineUnattainable: On entering, if its turn cannot come within *timeout*, or did not.
            RequestWithdrawn: On entering, if somebody withdrew it.
        """
        charge = not_negative(Charge(requests, tokens, input_tokens, output_tokens, images))
        tenant = named(tenant)
        if type(priority) is not int:
            priority = priority_of(priority)
        wait = None if timeout is None else nanoseconds(timeout)
        if self._forked:
            self._warn_forked()
        return Waiter(self.admission, model, project, charge, priority, tenant=tenant, timeout=wait, endpoint=endpoint)

    def reserve_nowait(
        self,
        model: str = "",
        *,
        tokens: int = 0,
        requests: int = 1,
        images: int = 0,
        input_tokens: int = 0,
        output_tokens: int = 0,
        priority: int | str = Priority.NORMAL,
        tenant: str = "",
        project: str | None = None,
        endpoint: str = "",
    ) -> Reservation:
        """Return a reservation at once, or raise an error that says when. See ``reserve``.

        Raises:
            RequestTooLarge: If it can never go.
            DeadlineUnattainable: If it cannot go now; ``expected_wait`` says in how many seconds it could.
        """
        waiter = self.reserve(
            model,
            tokens=tokens,
            requests=requests,
            images=images,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            priority=priority,
            tenant=tenant,
            project=project,
            endpoint=endpoint,
        )
        return self.admission.try_now(waiter)

    def throttled(
        self, *, model: str = "", tokens: int = 0, priority: int | str = Priority.NORMAL, project: str | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a function, asynchronous or not, so that each call waits for its turn first."""

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            if inspect.iscoroutinefunction(function):

                @functools.wraps(function)
                async def wait_and_call(*args: P.args, **kwargs: P.kwargs) -> Any:
                    async with self.reserve(model, tokens=tokens, priority=priority, project=project):
                        return await function(*args, **kwargs)

                return wait_and_call  # type: ignore[return-value]  # a coroutine function, as *function* is

            @functools.wraps(function)
            def block_and_call(*args: P.args, **kwargs: P.kwargs) -> R:
                with self.reserve(model, tokens=tokens, priority=priority, project=project):
                    return function(*args, **kwargs)

            return block_and_call

        return decorate
