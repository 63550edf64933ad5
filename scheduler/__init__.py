"""Rate-limit-aware request scheduling for LLM APIs: the public names, and nothing else."""

from scheduler.core.quota import Charge
from scheduler.engine.bucket_statistics import BucketStatistics, HiddenStatistics
from scheduler.engine.charges import ChargeStatistics
from scheduler.engine.events import Admitted, Answered, Event, LimitChanged, Paused
from scheduler.engine.outlook import Outlook
from scheduler.engine.reservation import Reservation
from scheduler.engine.statistics import LaneStatistics, ScopeStatistics, Statistics
from scheduler.errors import (
    ConfigurationError,
    DeadlineUnattainable,
    InvalidRequest,
    ProviderOverloaded,
    QueueFull,
    QuotaExhausted,
    RateLimited,
    RequestFailed,
    RequestTooLarge,
    RequestWithdrawn,
    ReservationClosed,
    SchedulerError,
    StoreUnavailable,
)
from scheduler.facade import Scheduler
from scheduler.http.many import Result
from scheduler.priority import Priority
from scheduler.providers.base import Reading, Usage

__version__ = "0.1.0"

__all__ = [
    "Admitted",
    "Answered",
    "BucketStatistics",
    "Charge",
    "ChargeStatistics",
    "ConfigurationError",
    "DeadlineUnattainable",
    "Event",
    "HiddenStatistics",
    "InvalidRequest",
    "LaneStatistics",
    "LimitChanged",
    "Outlook",
    "Paused",
    "Priority",
    "ProviderOverloaded",
    "QueueFull",
    "QuotaExhausted",
    "RateLimited",
    "Reading",
    "RequestFailed",
    "RequestTooLarge",
    "RequestWithdrawn",
    "Reservation",
    "ReservationClosed",
    "Result",
    "Scheduler",
    "SchedulerError",
    "ScopeStatistics",
    "Statistics",
    "StoreUnavailable",
    "Usage",
    "__version__",
]
