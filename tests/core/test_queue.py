"""The queue of a lane against a sorted list."""

from dataclasses import dataclass

import pytest
from hypothesis import given, strategies as st

from scheduler.core.queue import Queue


@dataclass(eq=False)
class Item:
    priority: int
    arrival: int
    gone: bool = False


def key(item: Item) -> tuple[int, int]:
    return (item.priority, item.arrival)


@given(st.lists(st.tuples(st.sampled_from(["push", "push", "pop", "remove", "back"]), st.integers(0, 3)), max_size=80))
def test_it_serves_by_priority_then_arrival_whoever_leaves(steps: list[tuple[str, int]]) -> None:
    """Its head, length and contents are those of a sorted list, with removal anywhere and retries coming back."""
    queue: Queue[Item] = Queue()
    model: list[Item] = []
    served: list[Item] = []
    for arrival, (step, number) in enumerate(steps):
        if step == "push":
            item = Item(number, arrival)
            queue.push(item)
            model.append(item)
        elif step == "pop" and model:
            first = min(model, key=key)
            assert queue.pop() is first
            model.remove(first)
            served.append(first)
        elif step == "remove" and model:
            item = model.pop(number % len(model))
            queue.remove(item)
            assert item.gone
        elif step == "back" and served:
            item = served.pop(number % len(served))
            queue.push(item)
            model.append(item)
        assert queue.head() is (min(model, key=key) if model else None)
        assert len(queue) == len(model)
        assert bool(queue) is bool(model)
        assert sorted(queue, key=key) == sorted(model, key=key)


def test_those_who_left_from_the_middle_are_forgotten() -> None:
    """After many removals the queue keeps no more than it holds, and a few."""
    queue: Queue[Item] = Queue()
    items = [Item(0, arrival) for arrival in range(1_000)]
    for item in items:
        queue.push(item)
    for item in items[1:]:
        queue.remove(item)
    assert list(queue) == items[:1]
    assert len(queue._heap) <= 130
    assert queue.pop() is items[0]
    assert not queue


def test_nothing_is_taken_from_an_empty_queue() -> None:
    """Popping an empty queue is a fault of the caller's."""
    with pytest.raises(AssertionError, match="empty"):
        Queue[Item]().pop()
