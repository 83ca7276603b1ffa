"""Samples of different lengths: which steps belong to which, as an object that does nothing where nothing is padded."""

from __future__ import annotations

from dataclasses import dataclass

from ..arrays import Array, Namespace, namespace, quiet
from ..lazy import lazy


@dataclass(frozen=True, eq=False)
class Lengths:
    """Each sample's own number of steps, of a range of C steps.

    values: (B,) or (*M, B), None where no sample is padded. inside: (C, *M or 1s, B), or (*M or 1s, B) for a single
    step: True where a step belongs to its sample; None likewise. In the methods, `states` and `units` say how many axes
    an array has between step and model axes and behind the samples.
    """

    values: Array | None = None
    inside: Array | None = None

    @classmethod
    def of(cls, values: Array | None, steps: int, model_axes: int) -> Lengths:
        """Over steps 1 ... `steps`, from lengths (B,) or (*M, B)."""
        if values is None:
            return cls()
        numbers = namespace(values).arange(1, steps + 1).reshape(-1, *(1,) * (model_axes + 1))
        return cls(values, numbers <= values)

    @property
    def padded(self) -> bool:
        """Whether any sample may be shorter than the others."""
        return self.inside is not None

    def __getitem__(self, steps: int | slice | list[int]) -> Lengths:
        """The same over a range of steps, at some steps, or at one."""
        return self if self.inside is None else Lengths(self.values, self.inside[steps])

    def of_samples(self, samples: slice | list[int]) -> Lengths:
        """The same for some of the samples."""
        if self.values is None or self.inside is None:
            return self
        return Lengths(self.values[..., samples], self.inside[..., samples])

    def at_least(self, steps: int) -> Lengths:
        """The same with no sample shorter than that."""
        if self.inside is None or self.values is None:
            return self
        return Lengths.of(self._xp.maximum(self.values, steps), len(self.inside), self.inside.ndim - 2)

    @lazy
    def times(self) -> Lengths:
        """Over the times 0 ... C instead of the steps 1 ... C; time 0 belongs to every sample."""
        if self.inside is None:
            return self
        xp = self._xp
        return Lengths(self.values, xp.concatenate([xp.ones_like(self.inside[:1]), self.inside]))

    def keep(self, x: Array, other: Array | float = 0.0, *, states: int = 0, units: int = 1) -> Array:
        """x (C, [states], *M, B, [units]) where its step belongs to its sample, `other` elsewhere."""
        if self.inside is None:
            return x
        return self._xp.where(self._fitted(states, units), x, self._xp.asarray(other, dtype=x.dtype))

    def mean(self, x: Array, axes: int | tuple[int, ...], *, states: int = 0, units: int = 0) -> Array:
        """The mean of x (C, [states], *M, B, [units]) over `axes`, of what belongs to its sample; NaN of nothing."""
        if self.inside is None:
            return x.mean(axis=axes)
        with quiet():
            count = (self._fitted(states, units) & self._xp.ones(x.shape, dtype=bool)).sum(axis=axes)
            return self.keep(x, states=states, units=units).sum(axis=axes) / count.astype(x.dtype)

    def count(self, size: int, axis: int = 0) -> Array | int:
        """How many of the `size` steps belong to each sample, or with axis -1 how many of the samples to each step."""
        return size if self.inside is None else self.inside.sum(axis=axis)

    def take_last(self, x: Array, *, states: int = 0) -> Array:
        """x (C, [states], *M, B, n) at each sample's last step; zero for a sample without one."""
        if self.inside is None:
            return x[-1]
        last = Lengths(self.values, self._last)
        return last.keep(x, states=states).sum(axis=0)

    def put_last(self, x: Array, steps: int) -> Array:
        """Zeros (C, *M, B, n), but x (*M, B, n) at each sample's last step of the `steps` steps."""
        xp = namespace(x)
        full = xp.zeros((steps, *x.shape), dtype=x.dtype)
        if self.inside is None:
            full[-1] = x
            return full
        return xp.where(self._last[..., None], x, full)

    def flip(self, x: Array) -> Array:
        """x (C, *M, B, n) with each sample's own steps in reverse order; what is beyond them stays where it is."""
        if self.inside is None:
            return x[::-1]
        steps = self._xp.arange(len(x)).reshape(-1, *(1,) * (self.inside.ndim - 1))
        places = self._xp.where(self.inside, self.inside.sum(axis=0) - 1 - steps, steps)
        return self._xp.take_along_axis(x, places[..., None], axis=0)

    @property
    def _xp(self) -> Namespace:
        return namespace(self.inside)

    @lazy
    def _last(self) -> Array:
        """As `inside`, True at each sample's last step alone."""
        assert self.inside is not None
        return self.inside & ~self._xp.concatenate([self.inside[1:], self._xp.zeros_like(self.inside[:1])])

    def _fitted(self, states: int, units: int) -> Array:
        """`inside`, ready to broadcast against an array with so many axes of states and units."""
        assert self.inside is not None
        first, *rest = self.inside.shape
        return self.inside.reshape(first, *(1,) * states, *rest, *(1,) * units)
