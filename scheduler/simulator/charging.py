"""What the limiter takes for a request: not what is billed, and by a rule that changed over the years.

- ``documented``: the larger of ``max_tokens x n`` and the characters of the input over 4.
- ``sum``: both added, as recorded of completions and chats in 2024.
- ``recorded-2025``: what 204 recorded calls of 2025 and 2026 fit. The output does not show, except in completions.

A picture in the input counts as ``PICTURE`` tokens under all rules. Embeddings, moderations and prompts of images are
characters over 4 under all rules. Parts are rounded up, as the remaining level that is shown is rounded down.
"""

import math
from collections.abc import Callable

from scheduler.simulator.calls import CHAT, COMPLETIONS, RESPONSES, Call
from scheduler.simulator.scopes import Charge
from scheduler.simulator.world import World

PICTURE = 765
"""Tokens of one picture: recorded chats with one picture and hardly any text were charged 773 to 788."""


def _quarter(characters: int) -> int:
    return -(-characters // 4)


def _documented(call: Call) -> int:
    return max((call.max_tokens or 0) * call.choices, _quarter(call.characters) + PICTURE * call.pictures)


def _sum(call: Call) -> int:
    return (call.max_tokens or 0) * call.choices + _quarter(call.characters) + PICTURE * call.pictures


def _recorded(call: Call) -> int:
    if call.path == CHAT:
        return _quarter(call.characters + call.role_characters) + 2 + PICTURE * call.pictures
    if call.path == RESPONSES:
        return _quarter(call.characters) + 30 + PICTURE * call.pictures
    return max(call.max_tokens or 0, call.characters // 4) + 1


RULES: dict[str, Callable[[Call], int]] = {"documented": _documented, "sum": _sum, "recorded-2025": _recorded}
"""Rules for the endpoints that produce text."""


def input_tokens(call: Call) -> int:
    """Return the tokens of a call's input, as a limit on growth counts them."""
    return _quarter(call.characters) + PICTURE * call.pictures


def charge(world: World, call: Call, deviate: float = 0.0) -> Charge:
    """Return what *call* takes: the rule's tokens, times the factor, plus the offset, times the noise; rounded up.

    *deviate* is the standard normal deviate that the noise is made of.
    """
    if call.path in {CHAT, RESPONSES, COMPLETIONS}:
        tokens = RULES[world.charge](call)
    else:
        tokens = _quarter(call.characters) + PICTURE * call.pictures
    if world.factor != 1.0 or world.offset or world.noise:
        noise = math.exp(world.noise * deviate - world.noise**2 / 2)
        tokens = max(1, math.ceil((tokens * world.factor + world.offset) * noise))
    return Charge(requests=1, tokens=tokens, images=call.images)
