"""Live panels for notebooks, one class each, on ipywidgets (in the extra `lab`).

    import gtfdeer as gd
    panel = gd.explorables.NewtonMicroscope()
    panel

Every control has a label and a keyboard; every value can be read and set from Python (`panel.alpha = 0.3`); what the
panel is doing stands in `panel.status`. Viewers without a kernel see the last picture.
"""

from ._dial import ForcingDial
from ._explorer import AttractorExplorer
from ._live import LiveView
from ._microscope import NewtonMicroscope
from ._predict import Predict
from ._speed import SpeedLab
from ._training import TrainingPanel

__all__ = [
    "AttractorExplorer",
    "ForcingDial",
    "LiveView",
    "NewtonMicroscope",
    "Predict",
    "SpeedLab",
    "TrainingPanel",
]
