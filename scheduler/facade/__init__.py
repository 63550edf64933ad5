"""``Scheduler``, by what it does: turns, whole requests, transports for SDKs, settings."""

from scheduler.facade.configured import Limits
from scheduler.facade.scheduler import Scheduler

__all__ = ["Limits", "Scheduler"]
