"""Who goes first."""

from enum import IntEnum

from scheduler.errors import ConfigurationError


class Priority(IntEnum):
    """Who goes first: the lowest. Any integer between is a priority too."""

    INTERACTIVE = 0
    NORMAL = 50
    BATCH = 100


def priority_of(value: int | str) -> int:
    """Return the priority that a number or a name means.

    Raises:
        ConfigurationError: If it means none.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    try:
        return Priority[str(value).upper()]
    except KeyError:
        known = ", ".join(each.name.lower() for each in Priority)
        raise ConfigurationError(f"{value!r:.40} is no priority", "priority", f"write a number, or {known}") from None
