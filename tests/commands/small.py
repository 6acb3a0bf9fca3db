"""A recording that is quick to write down."""

import numpy as np

DT = 0.02


def spiral(steps, phase=0.0):
    """Two columns that turn and breathe: quick to write down, never constant."""
    t = DT * np.arange(steps) + phase
    return np.stack([np.cos(3 * t) * (1 + 0.3 * np.sin(t)), np.sin(3 * t)], axis=1)


def write_csv(path, values, header="x,y"):
    np.savetxt(path, values, delimiter=",", header=header, comments="")
    return path
