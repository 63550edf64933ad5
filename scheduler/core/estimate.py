"""What a request will be charged: several rules, and what answers told of charges, make one estimate.

A limiter charges an estimate of its own, by a rule that is nowhere written down exactly, that differs by endpoint and
sometimes by model, and that changes overnight. The adapter knows rules that were documented or recorded, its
*candidates*, and now and then an answer tells what a request was really charged.

**Believing one rule** is right until the rule changes: on 129 recorded chats of 2024 to 2026 the documented one is
3 % off in the median of the later ones, and 69 % of the earlier ones. **One factor**, told over estimated, cannot mend
a rule of another shape: a charge that is the sum of input and cap, not the larger, is no multiple of it. **Fitting
constants** to what was told follows one nonsensical answer anywhere, and what was learned on ten tokens is absurd on
ten thousand.

**The idea: experts, and short memories.** Every candidate rule is held as it is, with the median of its eight newest
residuals added, times the median of the eight newest ratios, and on a resistant line (the medians of the smaller and of
the larger ones), which finds "twice as much, and 400". When a charge is told each of these is first asked what it would
have said; its error, relative and at most all, is added to three quarters of its earlier errors. Whoever has erred least
is followed: a new rule is found after one or two answers. What is simpler is preferred where it errs as little: a tenth
of the units must not be learned from rounding. Medians need two witnesses: one answer moves no correction, whatever it
says, as the two that have not been told yet count as just as estimated. Beyond four times the largest charge that a
correction was learned on, its proportional part grows no more.

All models of an endpoint learn together, as a new rule comes to all of them at once; a model that is charged otherwise
is followed by itself once it has told three charges and its own experts err less than those of all.

**Numbers.** An estimate takes about a microsecond; learning, 60, and that is seldom. 64 keys are remembered at most,
those that were taught last: they are made of names that come from outside.

**The invariants**: an estimate is a whole number, at least 1, between an eighth of the smallest candidate and eight
times the largest and 4,096; with nothing learned, it is the first candidate; the same answers in the same order teach
the same.
"""

from collections.abc import Sequence

_KEYS = 64
_WINDOW = 8
_FEW = 3  # told charges from which a model may be followed by itself
_SMALL = 64  # units: an offset of so many is rather an offset than a factor
_REACH = 4
_TIMES = 8
_BEYOND = 4_096
_WHOLE = 1 << 16  # slopes are counted in parts of it
_ALL = 1_000  # errors are counted in thousandths
_SIMPLER = (0, 20, 40, 60)  # by how much an expert must err less: a rule as it is, with an offset, a factor, a line
_EXPERTS = len(_SIMPLER)

_Fit = tuple[int, int, int]
"""What an expert corrects by: slope, offset, and the largest charge up to which its slope is believed."""
_PLAIN: _Fit = (_WHOLE, 0, 0)


class Estimator:
    """Estimates charges, and learns from those that are told."""

    __slots__ = ("_models", "version")

    def __init__(self) -> None:
        """Begin with nothing learned."""
        self._models: dict[tuple[str, str], _Model] = {}
        self.version = 0
        """Grows with each told charge: while it stands still, so do estimates."""

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
    """The experts of one key."""

    __slots__ = ("_best", "_common", "_errors", "_fits", "_own", "_told", "deviates", "rules")

    def __init__(self, rules: int) -> None:
        self.rules = rules
        self.deviates = False  # whether its own experts are to be followed
        self._own = self._common = 0  # recent errors of its own experts, and of all models'
        self._told: list[tuple[int, Sequence[int]]] = []
        self._fits = [_PLAIN] * (_EXPERTS * rules)
        self._errors = [0] * (_EXPERTS * rules)
        self._best = 0

    def estimate(self, candidates: Sequence[int]) -> int:
        """Return what the best expert says; the first candidate where there are others than it has learned of."""
        if len(candidates) != self.rules:
            return candidates[0]
        best = self._best
        said = _said(candidates[best // _EXPERTS], self._fits[best])
        return max(1, min(candidates) // _TIMES, min(said, _TIMES * max(candidates) + _BEYOND))

    def compare(self, candidates: Sequence[int], told: int, common: int) -> None:
        """See whether its own experts err less than those of all models, who said *common*."""
        self._own = _aged(self._own, self.estimate(candidates), told)
        self._common = _aged(self._common, common, told)

    def learn(self, candidates: Sequence[int], told: int) -> None:
        """Learn a told charge."""
        fits, errors = self._fits, self._errors
        for expert in range(len(fits)):
            errors[expert] = _aged(errors[expert], _said(candidates[expert // _EXPERTS], fits[expert]), told)
        self._told = [*self._told[1 - _WINDOW :], (told, candidates)]
        for rule in range(self.rules):
            pairs = [(each[rule], charged) for charged, each in self._told]
            fits[rule * _EXPERTS + 1 : (rule + 1) * _EXPERTS] = _fitted(pairs)
        self._best = min(range(len(fits)), key=self._handicapped)
        self.deviates = len(self._told) >= _FEW and self._own + _SIMPLER[1] < self._common

    def _handicapped(self, expert: int) -> int:
        kind = expert % _EXPERTS
        if kind == 1 and abs(self._fits[expert][1]) > _SMALL:
            kind = _EXPERTS - 1
        return self._errors[expert] + _SIMPLER[kind]


def _said(charge: int, fit: _Fit) -> int:
    slope, offset, reach = fit
    near = min(charge, reach)
    return charge - near - (-near * slope // _WHOLE) + offset


def _aged(errors: int, said: int, told: int) -> int:
    """Return recent errors with one more; one unit is rounding, and none is worse than all that was told."""
    return errors * 3 // 4 + min(_ALL, _ALL * max(0, abs(said - told) - 1) // told)


def _fitted(pairs: list[tuple[int, int]]) -> list[_Fit]:
    """Return the corrections by an offset, a factor and a line for pairs of a rule's charge and the one told."""
    reach = _REACH * max(charge for charge, _ in pairs)
    offset = _median([told - charge for charge, told in pairs], 0)
    factor = _median([_slope(told, charge) for charge, told in pairs], _WHOLE)
    return [(_WHOLE, offset, 0), (factor, 0, reach), _line(pairs, reach) or (_WHOLE, offset, 0)]


def _line(pairs: list[tuple[int, int]], reach: int) -> _Fit | None:
    """Return a line through the medians of the smaller and of the larger charges, if they lie apart."""
    third = (len(pairs) + 1) // 3
    if third < _FEW:
        return None
    ordered = sorted(pairs)
    (low, least), (high, most) = _middle(ordered[:third]), _middle(ordered[-third:])
    if high < 2 * low or high < low + _SMALL:
        return None
    slope = _slope(most - least, high - low)
    return slope, _median([told + (-charge * slope // _WHOLE) for charge, told in pairs], 0), reach


def _middle(pairs: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the medians of either coordinate."""
    half = len(pairs) // 2
    return sorted(x for x, _ in pairs)[half], sorted(y for _, y in pairs)[half]


def _slope(rise: int, run: int) -> int:
    return min(_TIMES * _WHOLE, max(_WHOLE // _TIMES, rise * _WHOLE // max(1, run)))


def _median(values: list[int], usual: int) -> int:
    """Return the median; of the two in the middle, or of too few, that which is nearer to what is *usual*."""
    if len(values) < _FEW:
        values = [*values, usual]
    values = sorted(values)
    half = len(values) // 2
    if len(values) % 2:
        return values[half]
    return min(values[half - 1 : half + 1], key=lambda value: abs(value - usual))
