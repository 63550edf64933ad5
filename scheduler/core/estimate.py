"""What a request will be charged: several rules, and what answers told of charges, make one estimate.

A limiter charges an estimate of its own, by a rule that is nowhere written down exactly, that differs by endpoint and
sometimes by model, and that changes overnight. The adapter knows rules that were documented or recorded: its
*candidates*. Now and then an answer tells what a request was really charged.

**Believing one rule** is right until it changes: the documented one is 7 % off, in the median, on 81 chats recorded
since March 2025, and 57 % on the 57 before. **One factor**, told over estimated, cannot mend a rule of another shape:
the sum of input and output cap is no multiple of the larger of them. Where no header corrected it, a job under such a
charge took 1.05 of the ideal. **Fitting constants** to whatever was told follows one nonsensical answer anywhere, and
what was learned on ten tokens is absurd on ten thousand.

**The idea: experts, and a short memory.** The eight newest told charges are kept. Each candidate rule is tried as it
is, with the median of its residuals added, times the median of its ratios, and on a resistant line (through the medians
of the third with the smallest charges and of that with the largest), which finds "twice as much, and 400". Whoever errs
least on what is kept is followed; an older error counts three quarters of the next, so a new rule is found after one or
two answers. The simpler is preferred, by a little where all is exact and in proportion where charges scatter: a rule
must not be learned from rounding or from the spending of others.

- **One answer decides little.** Errors are relative, and none counts more than all that was told: nonsense lies equally
  far from every expert. Medians need two witnesses; the first alone moves a correction by a third of the way and by
  half of the charge at most. It may choose between rules, as each of them is sane.
- **Reach.** Beyond 16 times the largest charge that it was learned on, a proportional correction grows no more.
- **Models.** All models of an endpoint learn together, as a new rule comes to all of them at once. One that has told
  three charges is followed by itself while its own experts, asked before they are told, err less than those of all.

**Numbers.** Recorded chats of 2024 to 2026, each estimated and then told: 0.4 % in the median, 97 % within the larger
of 3 tokens and 20 % (see ``benchmarks/charges.py``). The job above takes 1.01 of the ideal. An estimate takes a
microsecond; learning takes 120, and is seldom. 64 keys are remembered, those that were taught last: their names come
from outside.

**The invariants**: an estimate is a whole number, at least 1, at least an eighth of the smallest candidate and at most
eight times the largest and 4,096; with nothing learned it is the first candidate; the same answers in the same order
teach the same.
"""

from collections.abc import Iterator, Sequence

_KEYS = 64
_WINDOW = 8
_WEIGHTS = tuple(1000 * 3**age // 4**age for age in range(_WINDOW))  # of errors, the newest first
_FEW = 3  # witnesses: fewer make no median, nor one end of a line, nor a model that is followed by itself
_REACH = 16  # times the largest charge that it was learned on, a slope is believed
_TIMES, _BEYOND = 8, 4_096  # no estimate is more than so many times the largest candidate, and so many units
_APART = 64  # units between the smaller and the larger charges: nearer together they tell no slope
_WHOLE = 1 << 16  # slopes are counted in parts of it
_ALL = 1_000  # errors are counted in thousandths
_OFFSET, _UNIT, _FACTOR, _LINE = 10_000, 500, 40_000, 60_000  # by how much an expert must err less than a plain rule;
_EIGHTHS, _OTHER, _MENDED, _LINED = 8, 1, 2, 24  # and in proportion: what its errors weigh more

_Fit = tuple[int, int, int]
"""What an expert corrects by: slope, offset, and the largest charge up to which its slope is believed."""
_Pair = tuple[int, int]
"""What a rule gives for a request, and what was told that it was charged."""


class Estimator:
    """Estimates charges, and learns from those that are told. Its length is the number of keys that it remembers."""

    __slots__ = ("_models", "version")

    def __init__(self) -> None:
        """Begin with nothing learned."""
        self._models: dict[tuple[str, str], _Model] = {}
        self.version = 0
        """Grows with each told charge: while it stands still, so do estimates."""

    def __len__(self) -> int:
        return len(self._models)

    def estimate(self, group: str, member: str, candidates: Sequence[int]) -> int:
        """Return the units that a request is expected to be charged.

        Args:
            group: What shares a rule, such as an endpoint.
            member: What may deviate from it, such as a model; or "".
            candidates: Units by the known rules, at least one, that of the default rule first.
        """
        model = self._models.get((group, member))
        if model is None or not model.deviates:
            model = self._models.get((group, ""))
        return candidates[0] if model is None else model.estimate(candidates)

    def learn(self, group: str, member: str, candidates: Sequence[int], told: int) -> None:
        """Learn that a request of *candidates* was charged what was *told*; what is not positive tells nothing."""
        if told < 1:
            return
        self.version += 1
        common = self._recall(group, "", candidates)
        if member:
            own = self._recall(group, member, candidates)
            own.compare(candidates, told, common.estimate(candidates))
            own.learn(candidates, told)
        common.learn(candidates, told)
        while len(self._models) > _KEYS:
            del self._models[next(iter(self._models))]

    def _recall(self, group: str, member: str, candidates: Sequence[int]) -> "_Model":
        """Return what was learned of a key, and make it the newest."""
        model = self._models.pop((group, member), None)
        if model is None or model.rules != len(candidates):
            model = _Model(len(candidates))
        self._models[group, member] = model
        return model


class _Model:
    """What one key was told, and the expert that erred least on it."""

    __slots__ = ("_common", "_fit", "_own", "_rule", "_told", "deviates", "rules")

    def __init__(self, rules: int) -> None:
        self.rules = rules
        self.deviates = False  # whether its own experts are to be followed
        self._own = self._common = 0  # recent errors of its own experts, and of all models'
        self._told: list[tuple[Sequence[int], int]] = []  # the newest first
        self._rule = 0
        self._fit: _Fit = (_WHOLE, 0, 0)

    def estimate(self, candidates: Sequence[int]) -> int:
        """Return what the best expert says; the first candidate where there are others than it has learned of."""
        if len(candidates) != self.rules:
            return candidates[0]
        said = _said(candidates[self._rule], self._fit)
        return max(1, min(candidates) // _TIMES, min(said, _TIMES * max(candidates) + _BEYOND))

    def compare(self, candidates: Sequence[int], told: int, common: int) -> None:
        """See whether its own experts, unaware of what was *told*, err less than those of all, who said *common*."""
        self._own = self._own * 3 // 4 + _error(self.estimate(candidates), told)
        self._common = self._common * 3 // 4 + _error(common, told)
        self.deviates = len(self._told) >= _FEW and self._own < self._common

    def learn(self, candidates: Sequence[int], told: int) -> None:
        """Learn a told charge, and see which expert is the best now."""
        self._told = [(candidates, told), *self._told[: _WINDOW - 1]]
        seen = set()
        least: int | None = None
        for rule in range(self.rules):
            pairs = tuple((each[rule], charged) for each, charged in self._told)
            if pairs in seen:  # as an earlier rule
                continue
            seen.add(pairs)
            for handicap, eighths, fit in _fits(pairs):
                errors = _errors(pairs, fit, handicap, _EIGHTHS + eighths + (_OTHER if rule else 0), least)
                if least is None or errors < least:
                    least, self._rule, self._fit = errors, rule, fit


def _said(charge: int, fit: _Fit) -> int:
    slope, offset, reach = fit
    near = min(charge, reach)
    return charge - near - (-near * slope // _WHOLE) + offset


def _error(said: int, told: int) -> int:
    """Return an error over what was told; one unit is rounding, and none is worse than all of it."""
    return min(_ALL, _ALL * max(0, abs(said - told) - 1) // told)


def _errors(pairs: Sequence[_Pair], fit: _Fit, handicap: int, eighths: int, least: int | None) -> int:
    """Return the weighed errors of an expert, as far as they are not more than the *least* already."""
    errors = handicap
    for weight, (charge, told) in zip(_WEIGHTS, pairs, strict=False):
        if least is not None and errors >= least:
            break
        errors += weight * _error(_said(charge, fit), told) * eighths // _EIGHTHS
    return errors


def _fits(pairs: Sequence[_Pair]) -> Iterator[tuple[int, int, _Fit]]:
    """Yield how a rule can be corrected, and by how much each way must err less."""
    yield 0, 0, (_WHOLE, 0, 0)
    reach = _REACH * max(charge for charge, _ in pairs)
    offset = _median([told - charge for charge, told in pairs], 0, pairs[0][0] // 2)
    yield min(_LINE, _OFFSET + _UNIT * abs(offset)), _MENDED, (_WHOLE, offset, 0)
    factor = _median([_slope(told, charge) for charge, told in pairs], _WHOLE, _WHOLE // 2)
    yield _FACTOR, _MENDED, (factor, 0, reach)
    ends = _ends(pairs)
    if ends is not None:
        (low, least), (high, most) = ends
        slope = _slope(most - least, high - low)
        offset = _median([told + (-charge * slope // _WHOLE) for charge, told in pairs], 0, 0)
        yield _LINE, _LINED, (slope, offset, reach)


def _ends(pairs: Sequence[_Pair]) -> tuple[_Pair, _Pair] | None:
    """Return the medians of the third with the smallest charges and of that with the largest, if they lie apart."""
    third = (len(pairs) + 1) // 3
    if third < _FEW:
        return None
    ordered = sorted(pairs)
    low, high = _middle(ordered[:third]), _middle(ordered[-third:])
    return (low, high) if high[0] >= 2 * low[0] and high[0] >= low[0] + _APART else None


def _middle(pairs: Sequence[_Pair]) -> _Pair:
    half = len(pairs) // 2
    return sorted(charge for charge, _ in pairs)[half], sorted(told for _, told in pairs)[half]


def _slope(rise: int, run: int) -> int:
    return min(_TIMES * _WHOLE, max(_WHOLE // _TIMES, rise * _WHOLE // max(1, run)))


def _median(values: list[int], usual: int, most: int) -> int:
    """Return the median; of two in the middle that which is nearer to what is *usual*, which is a witness against two.

    One value alone moves it by a third of its distance, and by *most* at most.
    """
    if len(values) == 1:
        return usual + max(-most, min(most, (values[0] - usual) // 3))
    ordered = sorted([*values, usual] if len(values) < _FEW else values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return min(ordered[half - 1 : half + 1], key=lambda value: abs(value - usual))
