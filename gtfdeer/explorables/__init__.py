"""Live panels for notebooks, one class each, on ipywidgets (in the extra `lab`).

    import gtfdeer as gd
    panel = gd.explorables.NewtonMicroscope()
    panel

Every control has a label and a keyboard; every value can be read and set from Python (`panel.alpha = 0.3`); what the
panel is doing stands in `panel.status`. Viewers without a kernel see the last picture.
"""

from .dial import ForcingDial
from .explorer import AttractorExplorer
from .microscope import NewtonMicroscope
from .speed import SpeedLab
from .training import TrainingPanel

__all__ = ["AttractorExplorer", "ForcingDial", "NewtonMicroscope", "SpeedLab", "TrainingPanel"]
