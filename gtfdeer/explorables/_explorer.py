"""AttractorExplorer: a system's parameters as sliders, its orbit as time series, in space, as return map and spectrum.

The return map shows each maximum of the last variable against the one before (E. Lorenz, J. Atmos. Sci. 20, 130,
1963): a thin curve means that chaos here is a one-dimensional rule.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from .. import Reconstruction, data, measures
from ._canvas import axis, line, orbit, plot
from ._panel import Panel, menu, slider
from ._sweep import KEPT
from ._task import SYSTEMS as TAUGHT

SYSTEMS = {**TAUGHT, "Lorenz-96": data.Lorenz96(), "Slow-fast Lorenz": data.SlowFastLorenz()}
# low, high, step of the sliders; what is not named here goes from 0 to twice its value
RANGES: dict[str, dict[str, tuple[float, float, float]]] = {
    "Lorenz-63": {"rho": (0.0, 100.0, 0.5), "sigma": (5.0, 20.0, 0.5)},
    "Rossler": {"a": (0.1, 0.25, 0.01), "b": (0.1, 0.4, 0.01), "c": (2.0, 9.0, 0.1)},
    "Lorenz-96": {"forcing": (0.0, 16.0, 0.25)},
    "Bursting neuron": {"nmda_conductance": (4.0, 12.0, 0.1), "slow_time_constant": (50.0, 400.0, 10.0)}
    | {"current": (-4.0, 4.0, 0.5)},
    "Slow-fast Lorenz": {"period": (1.0, 200.0, 1.0), "depth": (0.0, 16.0, 0.5), "rho": (20.0, 50.0, 0.5)},
}
_OWN = "your system"
_KEPT, _RUN = 6000, 2000  # samples of the orbit that are shown, and of one click


class AttractorExplorer(Panel):
    """Change a system and see what its orbit becomes.

    Controls: `system`, a slider for each of its parameters (`sliders`, by name), `run` (2,000 samples more), `reset`.
    Only a new system compiles. From Python: `panel.set(rho=30.0)`. The axes never shrink, and the first orbit of a
    system stays as a ghost, so that what fades away is seen to fade.

    Args:
        reconstruction: its free run is laid over the orbit of the system that its recording came from, of this name.
        system: your own `gtfdeer.data.System`, offered beside the built-in ones, or the name of one of these.
        strict: as for every panel.

    Attributes:
        orbit: `(T, M)`, the last samples, in the system's own units; T grows to 6,000.

    >>> panel = AttractorExplorer(strict=True)                      # doctest: +SKIP
    >>> panel.set(rho=0.5)                                          # doctest: +SKIP
    >>> panel.summary                                               # doctest: +SKIP
    'Lorenz-63 at sigma 10, rho 0.5, beta 2.66667: 2001 samples, it stands still.'
    """

    system = menu("system", SYSTEMS)
    buttons = ("run", "reset")

    def __init__(
        self,
        reconstruction: Reconstruction | None = None,
        *,
        system: data.System | str = "Lorenz-63",
        strict: bool | None = None,
    ) -> None:
        if not isinstance(system, data.System | str):
            raise TypeError(f"system is {system!r}; pass a gtfdeer.data.System, or one of {[*SYSTEMS]}")
        self._systems, self._home = (SYSTEMS, system) if isinstance(system, str) else ({_OWN: system, **SYSTEMS}, _OWN)
        self._model = None
        if reconstruction is not None:
            self._model, name = reconstruction.simulate(_KEPT // 2), reconstruction.name
            size = self._model.shape[1]
            homes = [key for key, s in self._systems.items() if type(s).__name__ == name and s.dimension == size]
            if not homes:
                raise ValueError(f"the reconstruction of {name!r} belongs to none of {[*self._systems]}; pass system=")
            self._home = homes[0]  # the system of the menu whose orbit the model imitates
        super().__init__(strict=strict, system=[*self._systems])
        self._advance, self._name = lru_cache(KEPT)(self._make_advance), ""
        with self._settled(self.strict):
            self.system = self._home
            self._respond()

    @property
    def parameters(self) -> dict[str, float]:
        """The values of the sliders by name."""
        return {name: control.value for name, control in self.sliders.items()}

    @property
    def maxima(self) -> np.ndarray:
        """`(K,)`, the local maxima of the last variable."""
        z = self.orbit[:, -1]
        return z[1:-1][(z[1:-1] > z[:-2]) & (z[1:-1] >= z[2:])]

    def set(self, **parameters: float) -> None:
        """Set several parameters at once, then draw.

        Raises:
            KeyError: for a parameter that the system does not have.
        """
        if unknown := [name for name in parameters if name not in self.sliders]:
            raise KeyError(f"{self.system} has no parameter {unknown[0]!r}; set one of {sorted(self.sliders)}")
        with self._settled():
            for name, value in parameters.items():
                control = self.sliders[name]
                control.min, control.max = min(control.min, value), max(control.max, value)
                control.value = value
            self._start_over()

    def run(self) -> None:
        """2,000 samples more, with the parameters of the sliders."""
        with self._settled():
            self.orbit = np.concatenate([self.orbit, self._walk()])[-_KEPT:]
            self._redraw()

    def reset(self) -> None:
        """Back to the start, without the past."""
        with self._settled():
            # by one program that nobody keeps: operation by operation it would be a dozen, kept for good
            self._state = np.asarray(jax.jit(self._systems[self._name].initial_state)(jax.random.key(0)))
            self._start_over()

    def _start_over(self) -> None:
        """Walk to the attractor of these parameters, then draw it."""
        self._walk()
        self.orbit = np.asarray(self._state)[None]
        self.run()

    def _respond(self) -> None:
        """Start over; of another system with a slider for each parameter, a real number: whole ones give its shape."""
        if self.system == self._name:
            return self._start_over()
        self._name, self.sliders = self.system, {}
        for parameter, value in vars(self._systems[self._name]).items():
            if isinstance(value, float):
                low, high = sorted((0.0, 2 * value)) if value else (-1.0, 1.0)
                span = RANGES.get(self._name, {}).get(parameter, (low, high, (high - low) / 100))
                self.sliders[parameter] = slider(parameter.replace("_", " "), value, *span).make()
                self.sliders[parameter].observe(self._on_change, names="value")
        self.widget.children[0].children = (self.controls["system"], *self.sliders.values())
        self._ghost, self._limits = None, {}
        self.reset()

    def _make_advance(self, name: str) -> Callable[[Any, dict[str, Any]], tuple[Any, Any]]:
        """2,000 samples; the parameters are arguments, so that sliders do not compile."""
        self._say("compiling: a new system takes some seconds")

        def advance(state: Any, parameters: dict[str, Any]) -> tuple[Any, Any]:
            system = copy.copy(self._systems[name])
            for parameter, value in parameters.items():
                object.__setattr__(system, parameter, value)  # not through its constructor, whose checks need numbers
            step = system.step()
            return jax.lax.scan(lambda z, _: (z := step(z), z), state, None, length=_RUN)

        return jax.jit(advance)

    def _walk(self) -> np.ndarray:
        """2,000 samples more; the state moves on only if they are all numbers."""
        self._say("running")
        if self.parameters:  # raise what the compiled step leaves out
            dataclasses.replace(self._systems[self._name], **self.parameters)  # pyright: ignore
        state, orbit = self._advance(self._name)(self._state, self.parameters)
        if not np.isfinite(orbit).all():
            raise ValueError(f"the orbit left all bounds at {self.parameters}; move a slider back, or press Reset")
        self._state = state
        return np.asarray(orbit)

    def _grow(self, name: str, values: np.ndarray) -> tuple[float, float]:
        """The limits of an axis: they grow with what is shown and never shrink."""
        low, high = self._limits.get(name, (np.inf, -np.inf))
        low, high = self._limits[name] = float(values.min(initial=low)), float(values.max(initial=high))
        margin = 0.04 * (high - low) or 1.0
        return (low - margin, high + margin) if low <= high else (0.0, 1.0)  # where there is nothing to show yet

    def _redraw(self) -> None:
        name, unit = self._name, "ms" if self._name == "Bursting neuron" else "time unit"
        dt, shown, space, maxima = self._systems[name].default_dt, self.orbit[-_RUN:], _to_3d(self.orbit), self.maxima
        overlay = self._model if name == self._home else None
        self._ghost = space if self._ghost is None else self._ghost
        time, sizes = dt * np.arange(len(shown)), [self._grow(f"space {d}", space[:, d]) for d in range(3)]
        variable, peak = self._grow("first", shown[:, 0]), self._grow("maxima", maxima)
        moving = np.ptp(shown[:, 0]) > 1e-3 * (1 + np.abs(shown[:, 0]).max())
        f, power = np.fft.rfftfreq(len(shown), dt), np.zeros(0)
        if moving:
            power = measures.power_spectrum(shown[:, :1], smoothing=2.0)[:, 0]
            power = power[1 : max(3, int(np.searchsorted(np.cumsum(power), 0.999)))]
        in_space = [
            line(self._ghost, "ghost", label="first orbit"),
            line(space, "data", label="system"),
            overlay is not None and line(_to_3d(overlay), "model", label="model"),
            line(space[-1:], "forced", line=False, marker="o"),
        ]
        in_time = (
            line(self._ghost[-len(shown) :, 0], "ghost", time, "first orbit"),
            line(shown[:, 0], "data", time, "now"),
        )
        returns = line(maxima[1:], "data", maxima[:-1], line=False, marker="o", size=1.8)
        spectrum = line(power, "data", f[1 : 1 + len(power)])
        plots = [
            orbit(0, 0, sizes, *in_space, rows=2, note="turn it with the mouse"),
            plot(0, 1, axis(f"time ({unit})", (0, dt * _RUN)), axis("first variable", variable), *in_time, columns=2),
            plot(1, 1, axis("maximum of the last variable", peak), axis("next maximum", peak), returns),
            plot(1, 2, axis(f"frequency (1/{unit})"), axis("power (share)", kind="log"), spectrum),
        ]
        values = ", ".join(f"{name} {value:g}" for name, value in self.parameters.items())
        text = f"{name}{values and f' at {values}'}: {len(self.orbit)} samples, "
        text += f"{len(maxima)} maxima." if moving else "it stands still."
        text += "" if overlay is None else " Beside it the model, running free."
        self._draw(f"Attractor explorer: {name}", [1.15, 1, 1], plots, [text])
        self._say(f"idle: {len(self.orbit)} samples shown")


def _to_3d(orbit: np.ndarray) -> np.ndarray:
    """`(T, 3)`: the first three variables, zeros where a system has fewer."""
    return np.pad(orbit, ((0, 0), (0, max(0, 3 - orbit.shape[1]))))[:, :3]
