"""The gate: probes, windows and rounds."""

from hypothesis import given, strategies as st

from scheduler.core.bucket import NEVER
from scheduler.core.gate import Gate


def test_an_open_gate_holds_nothing_back() -> None:
    """However many fly, the next passes."""
    gate = Gate()
    gate.flying = 10**6
    assert gate.is_open
    assert gate.ready_at(5) == 5
    gate.answered(5)
    assert gate.is_open


def test_a_probing_gate_doubles_its_window_every_round_until_something_is_learned() -> None:
    """One flies, then two, four, eight; it stays shut however far that goes, until a limit is known."""
    gate = Gate(probing=True)
    rounds: list[int] = []
    for _ in range(6):
        while gate.ready_at(0) == 0:
            gate.flying += 1
        rounds.append(gate.flying)
        for _ in range(gate.flying):
            gate.flying -= 1
            gate.answered(0)
    assert rounds == [1, 2, 4, 8, 16, 32]
    assert not gate.is_open
    gate.learned()
    assert gate.ready_at(0) == 0


def test_a_closed_gate_names_its_instant_and_sends_one_probe() -> None:
    """Nothing goes before the instant; then one request does, and the others wait for its answer."""
    gate = Gate()
    assert gate.close(sent=10, now=20, until=100)
    assert gate.ready_at(50) == 100
    assert gate.ready_at(150) == 150
    gate.flying = 1
    assert gate.ready_at(150) == NEVER


def test_refusals_of_one_event_close_it_once() -> None:
    """A refusal of a request that was sent before it closed extends the pause and closes nothing anew."""
    gate = Gate()
    gate.flying = 6
    assert gate.close(sent=10, now=20, until=100)
    assert not gate.close(sent=11, now=21, until=200)
    assert not gate.close(sent=12, now=22, until=90)
    assert gate.closings == 1
    gate.flying = 0
    assert gate.ready_at(30) == 200
    assert gate.close(sent=30, now=40, until=300)
    assert gate.closings == 2


def test_it_opens_when_its_window_has_outgrown_what_was_in_flight() -> None:
    """Answers to requests sent since then widen it; those sent before prove nothing."""
    gate = Gate()
    gate.flying = 4
    gate.close(sent=10, now=20, until=100)
    for _ in range(10):
        gate.answered(19)
    assert gate.window == 1
    for _ in range(4):
        assert not gate.is_open
        gate.answered(120)
    assert gate.is_open
    assert gate.closings == 0
    assert gate.ready_at(50) == 50


def test_what_is_learned_does_not_open_a_gate_that_a_refusal_has_closed() -> None:
    """A refusal while it probes keeps it shut when a limit is learned, until the window has grown past the flight."""
    gate = Gate(probing=True)
    gate.flying = 3
    gate.close(sent=10, now=20, until=100)
    assert gate.target == NEVER
    gate.learned()
    assert gate.ready_at(20) > 20
    for _ in range(3):
        gate.answered(30)
    assert gate.ready_at(20) == 20


def test_a_gate_that_was_opened_by_learning_can_open_again_by_itself() -> None:
    """Closed later, it does not wait for something to be learned once more."""
    gate = Gate(probing=True)
    gate.learned()
    gate.close(sent=10, now=20, until=30)
    gate.answered(40)
    gate.answered(40)
    assert gate.is_open


@given(steps=st.lists(st.sampled_from(["go", "answer", "close", "learn"]), max_size=60), probing=st.booleans())
def test_no_more_than_the_window_fly_while_it_is_not_open(*, steps: list[str], probing: bool) -> None:
    """Whoever asks before going never makes more fly than the window allows."""
    gate, now = Gate(probing=probing), 0
    sent: list[int] = []
    for step in steps:
        now += 10
        if step == "go" and gate.ready_at(now) == now:
            sent.append(now)
            gate.flying += 1
            assert gate.is_open or gate.flying <= gate.window
        elif step == "answer" and sent:
            gate.flying -= 1
            gate.answered(sent.pop(0))
        elif step == "close" and sent:
            gate.flying -= 1
            gate.close(sent.pop(0), now, now + 5)
        elif step == "learn":
            gate.learned()
