"""What all panels share: errors are seen, the newest request wins, viewers without a kernel get a picture."""

import base64
import threading

import ipywidgets as widgets
import pytest

from gtfdeer.explorables._canvas import axis, line, plot
from gtfdeer.explorables._panel import Panel, slider

from .waiting import until


class Toy(Panel):
    """Divides by one slider and counts its answers on another, which is nobody's request."""

    divisor, count = slider("divisor", 1, 0, 100, 1), slider("count", 0, 0, 100, 1)
    buttons = ("again",)

    def __init__(self, *, strict=False, wait=lambda: None):
        super().__init__(strict=strict)
        self.answers, self._wait = [], wait

    def again(self):
        with self._settled():
            self._say("running")
            self.count += 1
            self._wait()
            self.answers.append(12 / self.divisor)
            self._redraw()
            self._say("idle")

    _respond = again

    def _redraw(self):
        plots = [plot(0, 0, axis("x"), axis("y"), line([0, self.answers[-1]], "data"))] if self.answers else []
        self._draw("toy", [1], plots, [f"12 / {self.divisor}"])


def test_an_error_is_shown_and_the_panel_goes_on():
    panel = Toy()
    panel.divisor = 0
    assert isinstance(panel.error, ZeroDivisionError)
    assert panel.status == "failed: division by zero"
    assert "ZeroDivisionError" in panel._trouble.value
    panel.divisor = 4
    assert panel.error is None
    assert (panel.status, panel.answers[-1], panel._trouble.value) == ("idle", 3.0, "")
    assert [type(error) for error in panel.errors] == [ZeroDivisionError]  # a success forgets none


def test_the_error_of_a_click_is_kept(caplog):
    """ipywidgets logs what a click raises instead of passing it on, so that `error` must say it."""
    panel = Toy(strict=True)
    with panel._settled():
        panel.divisor = 0
    panel.controls["again"].click()
    assert isinstance(panel.error, ZeroDivisionError)
    assert "division by zero" in caplog.text


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (ValueError("no such length"), "failed: no such length"),
        (MemoryError("8 GiB are too many"), "out of memory: 8 GiB are too many"),
        (RuntimeError("RESOURCE_EXHAUSTED: allocating"), "out of memory: RESOURCE_EXHAUSTED: allocating"),
        (KeyboardInterrupt(), "stopped: interrupted"),
    ],
)
def test_no_ending_leaves_it_running(problem, status):
    def end():
        raise problem

    panel = Toy(wait=end)
    with pytest.raises(type(problem)):
        panel.again()  # from Python, not by a handler
    assert panel.status == status
    assert panel.errors == ([] if isinstance(problem, KeyboardInterrupt) else [problem])


def test_what_is_shown_cannot_inject_html():
    panel = Toy()
    panel._say("<script>")
    assert "<script>" not in panel._status.value


def test_of_several_waiting_requests_only_the_newest_is_answered():
    entered, gate = threading.Event(), threading.Event()

    def wait():
        entered.set()
        assert gate.wait(10)

    panel, threads = Toy(strict=True, wait=wait), []
    for value in (2, 3, 4, 6):
        threads.append(threading.Thread(target=lambda value=value: setattr(panel.controls["divisor"], "value", value)))
        threads[-1].start()
        assert entered.wait(10)
        until(lambda value=value: panel.divisor == value and (panel._changed or value == 2))  # it waits for its turn
    gate.set()
    for thread in threads:
        thread.join(10)
    # the one that ran while they came, and one for all others: both see the newest value
    assert panel.answers == [2.0, 2.0]
    assert panel.count == 2  # what the work sets by itself is nobody's request


def test_viewers_without_a_kernel_get_picture_and_text():
    panel = Toy(strict=True)
    panel.controls["again"].click()
    bundle, _ = panel._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"])[:4] == b"\x89PNG"
    assert "12 / 1" in bundle["text/plain"]
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.widget.model_id


def test_every_control_of_every_panel_has_a_label(microscope, dial, explorer, training, speed_lab):
    for panel in (microscope, dial, explorer, training, speed_lab):
        controls = [w for row in panel.widget.children if isinstance(row, widgets.HBox) for w in row.children]
        assert len(controls) + len(panel._canvas.spec["sliders"]) >= 3
        assert all(slider["label"] for slider in panel._canvas.spec["sliders"])
        assert panel._canvas.spec["label"]
        assert all(w.description for w in controls if not isinstance(w, widgets.HTML))
