"""AttractorExplorer: a system's parameters as sliders, its orbit as time series, in space, as return map and spectrum.

The return map shows each maximum of the last variable against the one before (E. Lorenz, J. Atmos. Sci. 20, 130,
1963): a thin curve means that chaos here is a one-dimensional rule.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from .. import Reconstruction, data, measures
from ._canvas import axis, line, plot
from ._panel import Panel, Setting, button, menu, slider

__all__ = ["AttractorExplorer"]

SYSTEMS: dict[str, data.System] = {
    "Lorenz-63": data.Lorenz63(),
    "Rossler": data.Rossler(),
    "Lorenz-96": data.Lorenz96(),
    "Bursting neuron": data.BurstingNeuron(),
    "Slow-fast Lorenz": data.SlowFastLorenz(),
}
# low, high, step of the sliders; what is not named here goes from 0 to twice its value
RANGES: dict[tuple[str, str], tuple[float, float, float]] = {
    ("Lorenz-63", "rho"): (0.0, 100.0, 0.5),
    ("Lorenz-63", "sigma"): (5.0, 20.0, 0.5),
    ("Rossler", "a"): (0.1, 0.25, 0.01),
    ("Rossler", "b"): (0.1, 0.4, 0.01),
    ("Rossler", "c"): (2.0, 9.0, 0.1),
    ("Lorenz-96", "forcing"): (0.0, 16.0, 0.25),
    ("Bursting neuron", "nmda_conductance"): (4.0, 12.0, 0.1),
    ("Bursting neuron", "slow_time_constant"): (50.0, 400.0, 10.0),
    ("Bursting neuron", "current"): (-4.0, 4.0, 0.5),
    ("Slow-fast Lorenz", "period"): (1.0, 200.0, 1.0),
    ("Slow-fast Lorenz", "depth"): (0.0, 16.0, 0.5),
    ("Slow-fast Lorenz", "rho"): (20.0, 50.0, 0.5),
}
_UNITS = {"Bursting neuron": "ms"}
_OWN = "your system"
_KEPT = 6000  # samples of the orbit that are shown
_STEP, _RUN = 100, 2000  # samples


@dataclass(frozen=True)
class _Overlay:
    """A free run, in the units of its data, and the system of the menu whose orbit it imitates."""

    orbit: np.ndarray
    system: str


class AttractorExplorer(Panel):
    """Change a system and see what its orbit becomes.

    Controls: `system_menu`, `sliders` (one for each parameter, by name), `run_button` (2,000 samples more),
    `step_button` (100 more), `reset_button`. Only a new system compiles. From Python: `panel.set(rho=30.0)`. The axes
    never shrink, and the first orbit of a system stays as a ghost, so that what fades away is seen to fade.

    Args:
        reconstruction: its free run is laid over the orbit of the system that its recording came from.
        system: your own `gtfdeer.data.System`, offered beside the built-in ones, or the name of one of these.
        strict: raise errors too, instead of only showing them; by default where `GTFDEER_FAST=1`.

    >>> panel = AttractorExplorer(strict=True)                      # doctest: +SKIP
    >>> panel.set(rho=0.5)                                          # doctest: +SKIP
    >>> panel.summary                                               # doctest: +SKIP
    'Lorenz-63 at sigma 10, rho 0.5, beta 2.66667: 2001 samples, it stands still.'
    """

    system = Setting("system_menu")

    def __init__(
        self,
        reconstruction: Reconstruction | None = None,
        *,
        system: data.System | str = "Lorenz-63",
        strict: bool | None = None,
    ) -> None:
        super().__init__(strict=strict)
        self._systems = SYSTEMS if isinstance(system, str) else {_OWN: _checked(system), **SYSTEMS}
        chosen = system if isinstance(system, str) else _OWN
        self._stray = ""
        self._overlay = None if reconstruction is None else _overlay(reconstruction, self._systems)
        if reconstruction is not None and self._overlay is None:
            self._stray = f" The reconstruction of {reconstruction.name!r} belongs to none of these systems."
        if self._overlay is not None and chosen != _OWN:
            chosen = self._overlay.system
        self.system_menu = menu("system", [*self._systems], chosen)
        self.run_button, self.step_button, self.reset_button = button("Run"), button("Step"), button("Reset")
        self.sliders: dict[str, Any] = {}
        self._start, self._advance = self._remembering(self._make_start), self._remembering(self._make_advance)
        self._arrange(
            (self.system_menu,),
            (),
            (self.run_button, self.step_button, self.reset_button),
        )
        self._observe(self.system_menu, self._choose)
        self._press(self.run_button, self.run)
        self._press(self.step_button, self.step)
        self._press(self.reset_button, self.reset)
        self._attempt(self._choose)

    @property
    def orbit(self) -> np.ndarray:
        """`(T, M)`, the last samples, in the system's own units; T grows to 6,000."""
        return self._orbit

    @property
    def parameters(self) -> dict[str, float]:
        """The values of the sliders by name."""
        return {name: control.value for name, control in self.sliders.items()}

    @property
    def maxima(self) -> np.ndarray:
        """`(K,)`, the local maxima of the last variable."""
        z = self._orbit[:, -1]
        return z[1:-1][(z[1:-1] > z[:-2]) & (z[1:-1] >= z[2:])]

    def set(self, **parameters: float) -> None:
        """Set several parameters at once, then draw.

        Raises:
            KeyError: for a parameter that the system does not have.
        """
        for name in parameters:
            if name not in self.sliders:
                raise KeyError(f"{self.system} has no parameter {name!r}; set one of {sorted(self.sliders)}")
        with self._lock:
            with self._silently():
                for name, value in parameters.items():
                    control = self.sliders[name]
                    control.min, control.max = min(control.min, value), max(control.max, value)
                    control.value = value
            self._start_over()

    def run(self) -> None:
        """2,000 samples more, with the parameters of the sliders."""
        with self._working():
            self._go(_RUN)

    def step(self) -> None:
        """100 samples more."""
        with self._working():
            self._go(_STEP)

    def reset(self) -> None:
        """Back to the start, without the past."""
        with self._working():
            self._state = self._start(self._name)
            self._orbit = np.asarray(self._state)[None]
            self._start_over()

    def _start_over(self) -> None:
        """Walk to the attractor of these parameters, then draw it."""
        with self._working():
            self._walk(_RUN)
            self._orbit = np.asarray(self._state)[None]
            self._go(_RUN)

    def _choose(self) -> None:
        """Another system: a slider for each of its parameters, at its own value."""
        name = self.system
        self._name, self._default = name, self._systems[name]
        self.sliders = {
            parameter: slider(parameter.replace("_", " "), value, *_range(name, parameter, value))
            for parameter, value in _parameters(self._default).items()
        }
        for control in self.sliders.values():
            self._observe(control, self._start_over)
        self.widget.children[1].children = tuple(self.sliders.values())
        self._ghost, self._limits = np.zeros((0, 3)), {}
        self.reset()

    def _make_start(self, name: str) -> np.ndarray:
        """By one program that nobody keeps: operation by operation it would be a dozen, kept for good."""
        return np.asarray(jax.jit(self._systems[name].initial_state)(jax.random.key(0)))

    def _make_advance(self, name: str) -> Callable[[Any, Any], tuple[Any, Any]]:
        self._say("compiling: a new system takes some seconds")
        system = self._systems[name]
        return jax.jit(partial(_advanced, system, tuple(_parameters(system))))

    def _walk(self, samples: int) -> np.ndarray:
        """So many samples more; the state moves on only if they are all numbers."""
        self._say("running")
        parameters = self.parameters
        _refuse_what_it_must(self._default, parameters)
        advance = self._advance(self._name)
        values, state, pieces = np.asarray([*parameters.values()], np.float32), self._state, []
        for _ in range(samples // _STEP):
            state, piece = advance(state, values)
            pieces.append(np.asarray(piece))
        if not np.isfinite(pieces[-1]).all():
            self._state = self._start(self._name)
            raise ValueError(f"the orbit left all bounds at {parameters}; move a slider back, or press Reset")
        self._state = state
        return np.concatenate(pieces)

    def _go(self, samples: int) -> None:
        self._orbit = np.concatenate([self._orbit, self._walk(samples)])[-_KEPT:]
        self._paint()

    def _grow(self, name: str, values: np.ndarray) -> tuple[float, float]:
        """The limits of an axis: they grow with what is shown and never shrink."""
        low, high = self._limits.get(name, (np.inf, -np.inf))
        low, high = float(values.min(initial=low)), float(values.max(initial=high))
        if low > high:
            return 0.0, 1.0  # nothing to show yet
        self._limits[name] = low, high
        margin = 0.04 * (high - low) or 1.0
        return low - margin, high + margin

    def _paint(self) -> None:
        dt, orbit, unit = self._default.default_dt, self._orbit, _UNITS.get(self._name, "time unit")
        shown, space, maxima = orbit[-_RUN:], _in_space(orbit), self.maxima
        overlay = self._overlay if self._overlay is not None and self._overlay.system == self._name else None
        if not len(self._ghost):
            self._ghost = space
        arrays = {"orbit": space, "end": space[-1:], "ghost": self._ghost, "time": dt * np.arange(len(shown))}
        arrays |= {"first": shown[:, 0], "before": self._ghost[-len(shown) :, 0]}
        arrays |= {"maximum": maxima[:-1], "next": maxima[1:]}
        if overlay is not None:
            arrays["model"] = _in_space(overlay.orbit)
        moving = len(shown) > 200 and np.ptp(shown[:, 0]) > 1e-3 * (1 + np.abs(shown[:, 0]).max())
        if moving:
            f = np.fft.rfftfreq(len(shown), dt)
            strength = measures.power_spectrum(shown[:, :1], smoothing=2.0)[:, 0]
            visible = slice(1, max(3, int(np.searchsorted(np.cumsum(strength), 0.999))))
            arrays |= {"frequency": f[visible], "power": strength[visible]}
        sizes = [self._grow(f"space {d}", space[:, d]) for d in range(3)]
        first, last = self._grow("first", shown[:, 0]), self._grow("maxima", maxima)
        spec = {
            "label": f"Attractor explorer: {self._name}",
            "columns": [1.15, 1, 1],
            "sliders": [],
            "plots": [
                {
                    **{"kind": "orbit", "row": 0, "column": 0, "rows": 2, "range": sizes, "axes": ["1", "2", "3"]},
                    "items": [
                        line("ghost", "ghost", label="first orbit"),
                        line("orbit", "data", label="system"),
                        line("model", "model", label=None if overlay is None else "model"),
                        line("end", "forced", line=False, marker="o"),
                    ],
                    "note": "turn it with the mouse",
                },
                plot(
                    *(0, 1, axis(f"time ({unit})", (0, dt * _RUN)), axis("first variable", first)),
                    line("before", "ghost", "time", "first orbit"),
                    line("first", "data", "time", "now"),
                    columns=2,
                ),
                plot(
                    *(1, 1, axis("maximum of the last variable", last), axis("next maximum", last)),
                    line("next", "data", "maximum", line=False, marker="o", size=1.8),
                ),
                plot(
                    *(1, 2, axis(f"frequency (1/{unit})"), axis("power (share)", kind="log")),
                    line("power", "data", "frequency"),
                ),
            ],
        }
        values = ", ".join(f"{name} {value:g}" for name, value in self.parameters.items())
        kind = f"{len(maxima)} maxima" if moving else "it stands still"
        beside = self._stray if overlay is None else " Beside it the model, running free."
        text = f"{self._name}{values and f' at {values}'}: {len(orbit)} samples, {kind}.{beside}"
        self._draw(spec, arrays, [text])
        self._say(f"idle: {len(orbit)} samples shown")


def _advanced(default: data.System, names: tuple[str, ...], state: Any, values: Any) -> tuple[Any, Any]:
    """100 samples; the parameters are arguments, so that sliders do not compile."""
    system = copy.copy(default)
    for name, value in zip(names, values, strict=True):
        object.__setattr__(system, name, value)  # not through its constructor, whose checks need numbers
    step = system.step()

    def record(z: Any, _: None) -> tuple[Any, Any]:
        z = step(z)
        return z, z

    return jax.lax.scan(record, state, None, length=_STEP)


def _checked(system: Any) -> data.System:
    if not isinstance(system, data.System):
        raise TypeError(f"system is {system!r}; pass a gtfdeer.data.System, or one of {[*SYSTEMS]}")
    return system


def _parameters(system: data.System) -> dict[str, float]:
    """The fields of a system that are real numbers; whole ones, such as a dimension, are part of its shape."""
    if not dataclasses.is_dataclass(system):
        return {}
    values = {field.name: getattr(system, field.name) for field in dataclasses.fields(system)}
    return {name: value for name, value in values.items() if isinstance(value, float)}


def _refuse_what_it_must(system: Any, parameters: dict[str, float]) -> None:
    """A system's own checks of its parameters; the compiled step leaves them out."""
    if parameters:
        dataclasses.replace(system, **parameters)


def _range(system: str, parameter: str, value: float) -> tuple[float, float, float]:
    """Low, high and step of a slider.

    >>> _range("your system", "growth", 3.0), _range("your system", "tilt", 0.0)
    ((0.0, 6.0, 0.06), (-1.0, 1.0, 0.02))
    """
    low, high = sorted((0.0, 2 * value)) if value else (-1.0, 1.0)
    return RANGES.get((system, parameter), (low, high, (high - low) / 100))


def _in_space(orbit: np.ndarray) -> np.ndarray:
    """`(T, 3)`: the first three variables, zeros where a system has fewer."""
    return np.pad(orbit, ((0, 0), (0, max(0, 3 - orbit.shape[1]))))[:, :3]


def _overlay(reconstruction: Reconstruction, systems: dict[str, data.System]) -> _Overlay | None:
    """Where the reconstruction belongs: to the system whose name and variables its recording has."""
    orbit = reconstruction.simulate(_KEPT // 2)
    for name, system in systems.items():
        if type(system).__name__ == reconstruction.name and system.dimension == orbit.shape[1]:
            return _Overlay(orbit, name)
    return None
