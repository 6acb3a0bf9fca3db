"""AttractorExplorer: a system's parameters as sliders, its orbit as time series, in space, as return map and spectrum.

The return map shows each maximum of the last variable against the one before (E. Lorenz, J. Atmos. Sci. 20, 130,
1963): a thin curve means that chaos here is a one-dimensional rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import Reconstruction, data, measures, plots
from ..plots.canvas import INK, dress
from .panel import Panel, Setting, button, canvas, menu, slider

__all__ = ["AttractorExplorer"]


@dataclass(frozen=True)
class _Knobs:
    """Two parameters of a system, their names, ranges and steps."""

    build: Callable[..., data.System]
    names: tuple[str, str]
    ranges: tuple[tuple[float, float, float], tuple[float, float, float]]
    unit: str = "time unit"


KNOBS = {
    "Lorenz-63": _Knobs(data.Lorenz63, ("rho", "sigma"), ((0.0, 100.0, 0.5), (5.0, 20.0, 0.5))),
    "Rossler": _Knobs(data.Rossler, ("c", "a"), ((2.0, 9.0, 0.1), (0.1, 0.25, 0.01))),
    "Bursting neuron": _Knobs(
        data.BurstingNeuron, ("nmda_conductance", "current"), ((4.0, 12.0, 0.1), (-4.0, 4.0, 0.5)), "ms"
    ),
}
_KEPT = 6000  # samples of the orbit that are shown
_STEP, _RUN = 100, 2000  # samples


class AttractorExplorer(Panel):
    """Change a system and see what its orbit becomes.

    Controls: `system_menu`, `first_slider`, `second_slider` (the two parameters), `angle_slider`, `run_button` (2,000
    samples more), `step_button` (100 more), `reset_button`. Only a new system compiles.

    Args:
        reconstruction: its free run is laid over the orbit, where it has three columns or more.
        strict: raise errors of the controls instead of only showing them.
    """

    system = Setting("system_menu")
    angle = Setting("angle_slider")

    def __init__(self, reconstruction: Reconstruction | None = None, *, strict: bool = False) -> None:
        super().__init__(strict=strict)
        self.system_menu = menu("system", [*KNOBS], "Lorenz-63")
        self.first_slider, self.second_slider = slider("rho", 28.0, 0, 100, 0.5), slider("sigma", 10.0, 5, 20, 0.5)
        self.angle_slider = slider("angle (degrees)", -55, -180, 180, 5)
        self.run_button, self.step_button, self.reset_button = button("Run"), button("Step"), button("Reset")
        self._overlay = None if reconstruction is None else reconstruction.simulate(_KEPT // 2)
        self._arrange(
            (self.system_menu, self.angle_slider),
            (self.first_slider, self.second_slider),
            (self.run_button, self.step_button, self.reset_button),
        )
        self._observe(self.system_menu, self._choose)
        for control in (self.first_slider, self.second_slider):
            self._observe(control, self._start_over)
        self._observe(self.angle_slider, self._paint)
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
        """The two parameters by name."""
        return dict(zip(self._knobs.names, (self.first_slider.value, self.second_slider.value), strict=True))

    @property
    def maxima(self) -> np.ndarray:
        """`(K,)`, the local maxima of the last variable."""
        z = self._orbit[:, -1]
        return z[1:-1][(z[1:-1] > z[:-2]) & (z[1:-1] >= z[2:])]

    def run(self) -> None:
        """2,000 samples more, with the parameters of the sliders."""
        self._go(_RUN)

    def step(self) -> None:
        """100 samples more."""
        self._go(_STEP)

    def reset(self) -> None:
        """Back to the start, without the past."""
        self._state = self._knobs.build().initial_state(jax.random.key(0))
        self._start_over()

    def _start_over(self) -> None:
        """Walk to the attractor of these parameters, then draw it."""
        self._walk(_RUN)
        self._orbit = np.asarray(self._state)[None]
        self._go(_RUN)

    def _choose(self) -> None:
        """Another system: its names and ranges on the sliders, its defaults as values."""
        self._knobs = knobs = KNOBS[self.system]
        default = knobs.build()
        with self._silently():
            for control, name, (low, high, step) in zip(
                (self.first_slider, self.second_slider), knobs.names, knobs.ranges, strict=True
            ):
                control.description = name.replace("_", " ")
                control.min, control.max = min(low, control.min), max(high, control.max)
                control.value = getattr(default, name)
                control.min, control.max, control.step = low, high, step
        self._say("compiling: a new system takes some seconds")
        self.reset()

    def _walk(self, samples: int) -> np.ndarray:
        self._say("running")
        names, values = zip(*self.parameters.items(), strict=True)
        parameters, state, pieces = jnp.asarray(values, jnp.float32), self._state, []
        for _ in range(samples // _STEP):
            state, piece = _advance(self._knobs.build, names, state, parameters)
            pieces.append(np.asarray(piece))
        if not np.isfinite(pieces[-1]).all():
            self._state = self._knobs.build().initial_state(jax.random.key(0))
            raise ValueError(f"the orbit left all bounds at {self.parameters}; move a slider back, or press Reset")
        self._state = state
        return np.concatenate(pieces)

    def _go(self, samples: int) -> None:
        self._orbit = np.concatenate([self._orbit, self._walk(samples)])[-_KEPT:]
        self._paint()

    def _paint(self) -> None:
        sheet = canvas(10.6, 6.0)
        grid = sheet.add_gridspec(2, 3, width_ratios=(1.15, 1, 1))
        dt, orbit = self._knobs.build().default_dt, self._orbit
        shown = orbit[-_RUN:]
        space = sheet.add_subplot(grid[:, 0], projection="3d")
        thin = {**plots.DATA.line(len(orbit)), "linewidth": 0.7, "linestyle": "-"}
        space.plot(*orbit[:, :3].T, **thin)
        if self._overlay is not None and self._overlay.shape[1] >= 3:
            space.plot(*self._overlay[:, :3].T, color=plots.MODEL.colour, linewidth=0.7)
        space.plot(*orbit[-1:, :3].T, "o", color=plots.FORCED.colour)
        space.view_init(elev=20, azim=self.angle)
        space.set_axis_off()
        space.set_box_aspect((1, 1, 1), zoom=1.25)  # pyright: ignore[reportArgumentType]  (the stub says int)
        space.set_title("in space" if self._overlay is None else "black: system, orange: model", fontsize=10, color=INK)

        time = sheet.add_subplot(grid[0, 1:])
        time.plot(dt * np.arange(len(shown)), shown[:, 0], **plots.DATA.line(len(shown)))
        time.margins(x=0.01)
        dress(time, f"time ({self._knobs.unit})", "first variable")

        returns, maxima = sheet.add_subplot(grid[1, 1]), self.maxima
        returns.plot(maxima[:-1], maxima[1:], "o", markersize=3, color=plots.DATA.colour)
        dress(returns, "maximum of the last variable", "next maximum")

        power = sheet.add_subplot(grid[1, 2])
        moving = len(shown) > 200 and np.ptp(shown[:, 0]) > 1e-3 * (1 + np.abs(shown[:, 0]).max())
        if moving:
            f = np.fft.rfftfreq(len(shown), dt)
            strength = measures.power_spectrum(shown[:, :1], smoothing=2.0)[:, 0]
            visible = slice(1, max(3, int(np.searchsorted(np.cumsum(strength), 0.999))))
            power.semilogy(f[visible], strength[visible], color=plots.DATA.colour, linewidth=1.2)
        dress(power, f"frequency (1/{self._knobs.unit})", "power (share)")
        values = ", ".join(f"{name} {value:g}" for name, value in self.parameters.items())
        kind = f"{len(maxima)} maxima" if moving else "it stands still"
        self._show(sheet, f"{self.system} at {values}: {len(orbit)} samples, {kind}.")
        self._say(f"idle: {len(orbit)} samples shown")


@partial(jax.jit, static_argnums=(0, 1))
def _advance(build: Any, names: tuple[str, ...], state: Any, values: Any) -> tuple[Any, Any]:
    """100 samples; the parameters are arguments, so that sliders do not compile."""
    default = build()
    system = build(**dict(zip(names, values, strict=True)))
    substeps = int(np.ceil(default.default_dt / default.step_size * (1 - 1e-9)))
    step = data.rk4_step(system.vector_field, default.default_dt, substeps)

    def record(z: Any, _: None) -> tuple[Any, Any]:
        z = step(z)
        return z, z

    return jax.lax.scan(record, state, None, length=_STEP)
