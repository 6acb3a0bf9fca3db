"""The heart that comes with the package."""

import numpy as np
import pytest

from gtfdeer.data import electrocardiogram


def test_it_is_five_minutes_in_millivolt():
    heart = electrocardiogram()
    assert (heart.name, heart.values.shape, heart.values.dtype) == ("MIT-BIH 208", (108_000, 1), np.float32)
    assert heart.duration == pytest.approx(300.0)
    assert heart.segments() == [(0, 108_000)]
    # The first numbers that SciPy documents for the same excerpt.
    np.testing.assert_allclose(heart.values[:3, 0], [-0.245, -0.215, -0.185], atol=1e-6)


def test_it_beats():
    heart = electrocardiogram()
    high = heart.values[:, 0] > 1.0
    beats = np.flatnonzero(high[1:] & ~high[:-1])
    beats = beats[np.diff(beats, prepend=-1000) > 72]  # 0.2 s apart
    assert 60 < len(beats) / 5 < 140  # a minute


def test_its_delay_is_no_state_space():
    # The first clear minimum, 0.44 s, lies between two beats and depends on the stretch: its halves give 63 and 103.
    with pytest.warns(UserWarning, match="the sharpest change takes 4 rows, far fewer than the delay of 159"):
        assert electrocardiogram().delay_embed(3).embedding.delay == 159
