"""A real heart: five minutes of an electrocardiogram that come with the package.

    millivolt = (stored - 1024) / 200,    360 samples a second

Record 208 of the MIT-BIH Arrhythmia Database, lead MLII, from minute 19:35 to 24:35; in the whole record
about a third of the beats are premature ventricular ones. A beat takes 217 samples (0.60 s) on average, nine of ten
take 170 to 270 (measured at the peaks of the band from 5 to 20 Hz: 498 in these five minutes).
Sources: G. Moody and R. Mark, "The impact of the MIT-BIH Arrhythmia Database", IEEE Eng. in Med. and Biol. 20(3),
45-50, 2001; A. Goldberger et al., "PhysioBank, PhysioToolkit, and PhysioNet", Circulation 101(23), e215-e220, 2000.
Licence: Open Data Commons Attribution 1.0; see recordings/NOTICE.md.
"""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np

from ._series import Series

SAMPLES_PER_SECOND = 360
ZERO_LEVEL, LEVELS_PER_MILLIVOLT = 1024, 200


def electrocardiogram() -> Series:
    """Return the recording: (108000, 1) in millivolt, dt = 1/360 s. Read from the package, never downloaded.

    It is not the five-column, smoothed electrocardiogram of the teacher-forcing papers, another recording.
    To make a state space of it: `electrocardiogram().standardise().delay_embed(5)`.

    >>> electrocardiogram()
    Series('MIT-BIH 208', 108000 x 1, dt=0.00277778)
    >>> round(electrocardiogram().duration)      # seconds
    300
    """
    with as_file(files("gtfdeer.data") / "recordings" / "mitdb208.npz") as path:
        stored = np.load(path)["ecg"]
    millivolt = (stored.astype(np.float32) - ZERO_LEVEL) / LEVELS_PER_MILLIVOLT
    return Series(millivolt, dt=1 / SAMPLES_PER_SECOND, name="MIT-BIH 208")
