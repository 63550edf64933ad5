"""The timer, without a loop."""

import gc

from scheduler.engine.parking import Host, ThreadHost
from scheduler.engine.timer import Timer


class _StandingClock:
    def now(self) -> int:
        return 0

    def wall(self) -> int:
        return 0


def test_an_old_alarm_that_rings_late_loses_no_host() -> None:
    """Where an older alarm rings after another was set, that one is set anew and its host is not taken for gone."""
    lost: list[Host] = []
    timer = Timer(lambda: None, lost.append)
    host = ThreadHost(_StandingClock())
    timer.joined(host)
    timer.at(10, 0)
    timer.rang()
    timer.at(20, 0)
    gc.collect()
    assert lost == []
    assert timer.instant == 20
    timer.stop()
