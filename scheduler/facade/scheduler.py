"""``Scheduler``: all that can be asked of it."""

import contextlib
from collections.abc import Callable

from scheduler.checks import whole
from scheduler.engine.events import Event
from scheduler.engine.outlook import Outlook
from scheduler.facade.requests import Requests
from scheduler.facade.transports import Transports
from scheduler.facade.turns import Turns


class Scheduler(Turns, Transports, Requests):
    """Lets requests to a rate-limited API through, in order, as fast as its limits allow and no faster.

    One scheduler serves several threads, several event loops, and one ``asyncio.run`` after another. ``reserve`` and
    its kin need no lifecycle; ``request`` and ``map`` own an HTTP client and are used inside ``async with``.

    Args:
        provider: Name of the provider, or an adapter.
        tier: Take the limits that the provider publishes for this tier.
        limits: Limits by model or pattern; they count before the tier's. With neither, limits are learned.
        project_limits: Project -> limits that bind it in addition.
        reserved: Priority -> share of every limit's level that less important work leaves to it.
        weights: Tenant -> weight; those not named have 1.
        concurrency: The most requests that may be in flight, over all models.
        max_queued: The most requests that may wait; unbounded if None.
        base_url: Where the provider is, if not at its own address.
        api_key: The key; taken from the provider's environment variable if None.
        timeout: Seconds that one answer may take.
        max_attempts: Times that a request over HTTP is sent at most.
        longest_delay: Seconds that a server may ask to wait; a request whose server asks for more fails at once, unless
            the refusal proved a level.
        growth: ``"documented"`` to let traffic grow no faster from the start than the provider states; otherwise it
            does so only once the provider has complained.
        registry: A Prometheus registry to add the metrics to.
        transport: What sends over HTTP, instead of the default.
        allow_plain_http: Whether the key may go over plain http to another machine.
        clock: Where instants come from; for tests.
        seed: Seed of the jitter; for tests.

    Raises:
        ConfigurationError: If a setting is unusable; it names the key and the mend.
    """

    def waiting(self, most: int = 100) -> list[Outlook]:
        """Return of *most* requests that wait why they do, behind how many, and until when."""
        return self.admission.waiting(whole(most, "most"))

    def on_event(self, listener: Callable[[Event], None]) -> Callable[[], None]:
        """Tell *listener* of every event; it may look and never decide. Return what stops that."""
        self.admission.listeners.append(listener)

        def stop() -> None:
            with contextlib.suppress(ValueError):
                self.admission.listeners.remove(listener)

        return stop
