"""What all panels share: errors are seen, the newest request wins, viewers without a kernel get a picture."""

import base64
import threading

import ipywidgets as widgets
import pytest

from gtfdeer.explorables.panel import Panel, button, canvas, slider


class Toy(Panel):
    """Divides by its slider."""

    def __init__(self, *, strict=False, wait=None):
        super().__init__(strict=strict)
        self.divisor, self.again = slider("divisor", 1, 0, 100, 1), button("Again")
        self.answers, self._wait = [], wait
        self._arrange((self.divisor, self.again))
        self._observe(self.divisor, self.run)
        self._press(self.again, self.run)

    def run(self):
        if self._wait is not None:
            self._wait()
        self.answers.append(12 / self.divisor.value)
        self._show(canvas(2, 2), f"12 / {self.divisor.value}")
        self._say("idle")


def test_an_error_is_shown_and_the_panel_goes_on():
    panel = Toy()
    panel.divisor.value = 0
    assert isinstance(panel.error, ZeroDivisionError)
    assert panel.status == "failed: division by zero"
    assert "ZeroDivisionError" in panel._trouble.value
    panel.divisor.value = 4
    assert panel.error is None
    assert (panel.status, panel.answers[-1], panel._trouble.value) == ("idle", 3.0, "")


def test_a_strict_panel_raises():
    panel = Toy(strict=True)
    with pytest.raises(ZeroDivisionError):
        panel.divisor.value = 0


def test_the_error_of_a_click_is_kept(caplog):
    """ipywidgets logs what a click raises instead of passing it on, so that `error` must say it."""
    panel = Toy(strict=True)
    with panel._silently():
        panel.divisor.value = 0
    panel.again.click()
    assert isinstance(panel.error, ZeroDivisionError)
    assert "division by zero" in caplog.text


def test_what_is_shown_cannot_inject_html():
    panel = Toy()
    panel._say("<script>")
    assert "<script>" not in panel._status.value


def test_of_several_waiting_requests_only_the_newest_is_answered():
    entered, go_on = threading.Event(), threading.Event()

    def wait():
        entered.set()
        assert go_on.wait(10)

    panel = Toy(strict=True, wait=wait)
    values = [2, 3, 4, 6]
    threads = [threading.Thread(target=lambda v=v: setattr(panel.divisor, "value", v)) for v in values]
    threads[0].start()
    assert entered.wait(10)
    for number, thread in enumerate(threads[1:], start=2):
        thread.start()
        while panel._newest < number:  # each is waiting at the lock before the next one comes
            pass
    go_on.set()
    for thread in threads:
        thread.join(10)
    # the one that ran while they came, and the last: both see the newest value
    assert len(panel.answers) == 2
    assert panel.answers[-1] == 12 / values[-1]


def test_viewers_without_a_kernel_get_picture_and_text():
    panel = Toy(strict=True)
    panel.again.click()
    bundle = panel._repr_mimebundle_()
    assert base64.b64decode(bundle["image/png"])[:4] == b"\x89PNG"
    assert "12 / 1" in bundle["text/plain"]
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == panel.widget.model_id


def test_every_control_of_every_panel_has_a_label(microscope, dial, explorer):
    for panel in (microscope, dial, explorer):
        controls = [w for row in panel.widget.children[:-4] for w in row.children]
        assert len(controls) >= 3
        assert all(w.description for w in controls if not isinstance(w, widgets.HTML))
