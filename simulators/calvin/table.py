"""The table's mechanisms: sliding door, drawer, button with its LED, switch with its light bulb."""

from dataclasses import dataclass
from typing import Any

SCALE = 0.8
"""Factor by which tables and blocks are smaller than their files say."""
BRAKE = 4.0
"""Force (N) that holds doors and switch where they are, and that brings the button back."""

LINK_NAMES = {
    -1: "base_link",
    0: "button_link",
    1: "switch_link",
    2: "slide_link",
    3: "drawer_link",
    4: "led_link",
    5: "light_link",
    6: "plank_link",
}
TABLE_TOP, BUTTON, SWITCH, SLIDE, DRAWER, LED, LIGHT, PLANK = LINK_NAMES
WHITE, YELLOW, GREEN = (1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 0.0, 1.0), (0.0, 1.0, 0.0, 1.0)


@dataclass
class Lamp:
    """A flag, and the colour of a link that shows it."""

    link: int
    color: tuple[float, ...]
    on: bool = False


class Table:
    """The table in a running simulation.

    Lights are flags without physics. The button toggles the LED when it goes down, the switch turns the bulb on and off
    when it passes its middle; both are looked at once per action, so a shorter press is missed.
    """

    def __init__(self, bullet: Any, file: str):
        self._bullet = bullet
        self.body = bullet.loadURDF(file, globalScaling=SCALE)
        self.lightbulb, self.led = Lamp(LIGHT, YELLOW), Lamp(LED, GREEN)
        self.button_on = self.switch_on = False
        self._was_pressed = False
        self._middle = {joint: sum(bullet.getJointInfo(self.body, joint)[8:10]) / 2 for joint in (BUTTON, SWITCH)}
        for joint in (SLIDE, DRAWER, SWITCH):
            bullet.setJointMotorControl2(
                self.body, joint, controlMode=bullet.VELOCITY_CONTROL, targetVelocity=0, force=BRAKE
            )
        bullet.setJointMotorControl2(
            self.body, BUTTON, controlMode=bullet.POSITION_CONTROL, targetPosition=0, force=BRAKE
        )

    def reset(self, slide: float, drawer: float, button: float, switch: float, lightbulb: bool, led: bool) -> None:
        """Put the joints where they should be, at rest, and the lights.

        As in the original, the switch counts as off until it is next looked at, whatever its joint and its light say,
        and the button remembers whether it was pressed.
        """
        for joint, value in ((SLIDE, slide), (DRAWER, drawer)):
            self._bullet.resetJointState(self.body, joint, value)
        self._light(self.lightbulb, lightbulb)
        self._light(self.led, led)
        self._bullet.resetJointState(self.body, BUTTON, button)
        self.button_on = led
        self._bullet.resetJointState(self.body, SWITCH, switch)
        self.switch_on = False

    def update(self) -> None:
        """Let button and switch work their lights; once after each action."""
        pressed = self.joint(BUTTON) > self._middle[BUTTON]
        if pressed and not self._was_pressed:
            self.button_on = not self.button_on
            self._light(self.led, self.button_on)
        self._was_pressed = pressed
        up = self.joint(SWITCH) > self._middle[SWITCH]
        if up != self.switch_on:
            self.switch_on = up
            self._light(self.lightbulb, up)

    def joint(self, joint: int) -> float:
        return self._bullet.getJointState(self.body, joint)[0]

    @property
    def observation(self) -> list[float]:
        """The first six values of `scene_obs`."""
        joints = [self.joint(joint) for joint in (SLIDE, DRAWER, BUTTON, SWITCH)]
        return [*joints, float(self.lightbulb.on), float(self.led.on)]

    def _light(self, lamp: Lamp, on: bool) -> None:
        lamp.on = on
        self._bullet.changeVisualShape(self.body, lamp.link, rgbaColor=lamp.color if on else WHITE)
