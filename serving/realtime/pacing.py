"""Keeping a control loop to its frequency."""

import time

from .timing import ControlTimes


class Pacer:
    """Call `wait` at the start of every control step: it returns when the step is due.

    A step that comes late does not shift the ones after it, unless it is late by more than a period: then the loop goes
    on from there, instead of hurrying through what was missed.
    """

    def __init__(self, frequency: float, times: ControlTimes | None = None):
        self.period = 1 / frequency
        self.times = times
        self.reset()

    def reset(self) -> None:
        """The next step is due at once."""
        self._due: float | None = None
        self._last: float | None = None

    def wait(self) -> None:
        """Until the next step is due."""
        now = time.monotonic()
        due = now if self._due is None or now > self._due + self.period else self._due
        if due > now:
            time.sleep(due - now)
            now = time.monotonic()
        if self._last is not None and self.times is not None:
            self.times.note_tick(now - self._last)
        self._last = now
        self._due = due + self.period
