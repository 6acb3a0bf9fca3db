"""ForcingDial against what is known about Lorenz-63; AttractorExplorer against a fixed point and a return map."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import gtfdeer as gd
from gtfdeer import explorables

from .waiting import compilations


def test_forcing_ends_chaos_and_newton_converges_only_then(dial, caplog):
    dial.alpha = 0.0
    assert 0.4 < dial.found.exponent < 1.4  # 0.9056 over infinite time; ten units of time scatter
    assert dial.found.exponent > 1.5 * dial.found.error
    assert dial.status == "idle: chaotic, errors grow"
    assert dial.found.memory == dial.length
    assert 0 < dial.critical_alpha < 0.05
    assert dial.iterations[0] == -1
    assert (dial.exponents[dial.iterations >= 0] < 0).all()
    assert dial.iterations[-1] <= 3
    dial.alpha = 0.3
    assert dial.found.exponent == pytest.approx(np.log(0.7) / 0.01, abs=2)  # ln(1 - alpha) / dt plus what F itself adds
    assert dial.found.memory < 30
    assert "contracting" in dial.status
    assert compilations(caplog, lambda: [setattr(dial, "alpha", a) for a in (0.71, 0.72)]) == 0


def test_the_dial_judges_with_the_error_of_its_estimate(dial):
    dial.subject, dial.alpha = "Bursting neuron", 0.0
    assert "per ms" in dial.summary
    assert abs(dial.found.exponent) < 1.5 * dial.found.error  # it bursts periodically: the exponent is 0
    assert "chaotic" not in dial.status
    dial.subject = "Lorenz-63"


def test_run_reset_and_the_return_map_of_lorenz_is_a_tent(explorer, caplog):
    explorer.system = "Rossler"
    explorer.system = "Lorenz-63"
    assert explorer.parameters == {"sigma": 10.0, "rho": 28.0, "beta": 8 / 3}
    explorer.controls["reset"].click()
    assert len(explorer.orbit) == 2001
    for length in (4001, 6000, 6000):
        explorer.controls["run"].click()
        assert len(explorer.orbit) == length
    now, after = explorer.maxima[:-1], explorer.maxima[1:]
    left, right = now < 38, now > 39.5
    assert np.corrcoef(now[left], after[left])[0, 1] > 0.95
    assert np.corrcoef(now[right], after[right])[0, 1] < -0.9
    assert compilations(caplog, lambda: explorer.set(rho=29.0)) == 0


@dataclasses.dataclass(frozen=True)
class Rotation(gd.data.System):
    """dx/dt = -speed y, dy/dt = speed x: the radius stays, and a turn takes 2 pi / speed."""

    speed: float = 2.0
    corners: int = 2  # whole numbers are no sliders

    dimension = 2
    step_size = 0.01
    default_dt = 0.05
    default_transient = 0.0

    def __post_init__(self):
        if not self.speed > 0:
            raise ValueError(f"speed is {self.speed}; pass a positive one")

    def vector_field(self, state):
        return self.speed * jnp.stack([-state[1], state[0]])

    def initial_state(self, key):
        return jnp.array([3.0, 0.0])


def test_a_system_of_ones_own_gets_sliders():
    explorer = explorables.AttractorExplorer(system=Rotation(), strict=True)
    assert explorer.parameters == {"speed": 2.0}
    np.testing.assert_allclose(np.linalg.norm(explorer.orbit, axis=1), 3, rtol=1e-3)  # RK4 over 200 units of time
    turn = np.diff(np.flatnonzero(np.diff(np.sign(explorer.orbit[:, 1])) > 0)).mean() * 0.05
    assert turn == pytest.approx(np.pi, abs=0.01)
    explorer.set(speed=7.0)  # beyond the slider's end
    assert explorer.parameters == {"speed": 7.0}
    with pytest.raises(ValueError, match="pass a positive one"):
        explorer.set(speed=-1.0)
    with pytest.raises(KeyError, match="no parameter 'rho'"):
        explorer.set(rho=1.0)
    with pytest.raises(TypeError, match="Lorenz-63"):
        explorables.AttractorExplorer(system=3)  # pyright: ignore


def test_a_reconstruction_lies_only_over_its_own_system(series, explorer):
    model = gd.models.ShallowPLRNN(latent_dim=3, hidden_dim=5, rngs=nnx.Rngs(0))
    rec = gd.Reconstruction(
        model, series.standardise().scaling, dt=series.dt, first=np.zeros(3, np.float32), name=series.name
    )
    over = explorables.AttractorExplorer(rec, strict=True)
    explorer.reset()
    assert over.system == explorer.system == "Lorenz-63"
    assert "Beside it the model" in over.summary
    assert len(over._canvas.spec["plots"][0]["items"]) == 4
    over.system = explorer.system = "Rossler"
    assert "model" not in over.summary
    assert len(over._canvas.spec["plots"][0]["items"]) == 3
    with pytest.raises(ValueError, match="'heart' belongs to none"):
        explorables.AttractorExplorer(dataclasses.replace(rec, name="heart"))
    explorer.system = "Lorenz-63"
