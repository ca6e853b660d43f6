"""Which keys of a client's observation are which of the policy's inputs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from ..configuration.action_contract import ActionContract
from .limits import ServerLimits
from .observation_parts import Resize, read_instruction, read_picture, read_state

# The common layouts (LIBERO, DROID, ALOHA), in the order in which they are looked for. A "/" also steps into a nested
# map: "images/cam_high" finds `images["cam_high"]`.
NAMED_CAMERA_KEYS = ("images/{}", "observation/{}", "observation/images/{}", "observation.images.{}")
MAIN_CAMERA_KEYS = ("observation/image", "observation/exterior_image_1_left", "images/cam_high", "image")
WRIST_CAMERA_KEYS = (
    "observation/wrist_image",
    "observation/wrist_image_left",
    "images/cam_right_wrist",
    "wrist_image",
)
WRIST_WORDS = ("wrist", "gripper", "hand")
STATE_KEYS = (
    "state",
    "observation/state",
    "observation.state",
    "observation/joint_position+observation/gripper_position",
)
PROMPT_KEYS = ("prompt", "task", "instruction")


class BadRequest(ValueError):
    """The client's observation is not what the policy takes; the message is for the client."""


@contextmanager
def refusing() -> Iterator[None]:
    """What is wrong with an observation becomes a `BadRequest`."""
    try:
        yield
    except ValueError as error:
        raise BadRequest(str(error)) from error


@dataclass(frozen=True)
class ObservationLayout:
    """For each camera, the state and the instruction: the keys under which it may come, first match first.

    A state's key may join several by "+", whose vectors are then put one behind the other.

    Args:
        contract: what the policy takes.
        cameras: by the contract's camera names.
        state: empty where the policy uses no state.
        prompt: of the instruction.
        resize: what happens to an image of another size than the contract's, see `Resize`.
        limits: what an observation may hold at most.
    """

    contract: ActionContract
    cameras: Mapping[str, tuple[str, ...]]
    state: tuple[str, ...] = STATE_KEYS
    prompt: tuple[str, ...] = PROMPT_KEYS
    resize: Resize = "refuse"
    limits: ServerLimits = field(default_factory=ServerLimits)

    @classmethod
    def of_contract(
        cls, contract: ActionContract, resize: Resize = "refuse", limits: ServerLimits | None = None
    ) -> Self:
        """Return the common layouts. A camera is found by its own name; the policy's only camera that looks from
        outside, and its only one at the wrist, by the names that the common layouts give to these."""
        at_wrist = {name: any(word in name.lower() for word in WRIST_WORDS) for name in contract.camera_names}
        if len(at_wrist) == 1:
            at_wrist = dict.fromkeys(at_wrist, False)  # a single-camera policy takes the main image
        cameras = {}
        for name, wrist in at_wrist.items():
            keys = [pattern.format(name) for pattern in NAMED_CAMERA_KEYS]
            if list(at_wrist.values()).count(wrist) == 1:
                keys += WRIST_CAMERA_KEYS if wrist else MAIN_CAMERA_KEYS
            cameras[name] = tuple(dict.fromkeys(keys))
        state = STATE_KEYS if contract.state is not None else ()
        return cls(contract, cameras, state=state, resize=resize, limits=limits or ServerLimits())

    def with_keys(self, table: Mapping[str, str]) -> Self:
        """Return a layout in which `table` says under which key a camera, "state" or "prompt" comes, and under no
        other.

        Raises:
            ValueError: naming what is no input of this policy.
        """
        known = [*self.cameras, "prompt", *(["state"] if self.state else [])]
        if unknown := sorted(set(table) - set(known)):
            raise ValueError(f"key: the policy has no input {unknown[0]!r}; it has {known}.")
        cameras = {name: (table[name],) if name in table else keys for name, keys in self.cameras.items()}
        others = {name: (table[name],) for name in ("state", "prompt") if name in table}
        return replace(self, cameras=cameras, **others)

    def to_dict(self) -> dict[str, Any]:
        """Write it as plain data, for the server's metadata."""
        cameras = {name: list(keys) for name, keys in self.cameras.items()}
        return {
            "cameras": cameras,
            "state": list(self.state),
            "prompt": list(self.prompt),
            "resize": self.resize,
        }

    def observation(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return the policy's observation in a client's.

        Raises:
            BadRequest: saying what is missing or wrong.
        """
        images, limits = {}, self.limits
        with refusing():
            for camera in self.contract.cameras:
                key, image = self._first(message, self.cameras[camera.name], f"camera {camera.name!r}")
                images[camera.name] = read_picture(image, camera, key, self.resize, limits.max_image_pixels)
            self._check_cameras(message)
            observation: dict[str, Any] = {"images": images}
            if self.state and self.contract.state is not None:
                key, value = self._first(message, self.state, "the state")
                observation["state"] = read_state(value, self.contract.state, key)
        return observation

    def instruction(self, message: Mapping[str, Any]) -> str:
        """Return the instruction in a client's observation; raises BadRequest."""
        key, value = self._first(message, self.prompt, "the instruction")
        with refusing():
            value = read_instruction(value, key)
        if len(value) > self.limits.max_prompt_characters:
            raise BadRequest(
                f"{key!r} has {len(value)} characters, more than the {self.limits.max_prompt_characters} allowed."
            )
        return value

    def _first(self, message: Mapping[str, Any], keys: Sequence[str], what: str) -> tuple[str, Any]:
        for key in keys:
            parts = [_look_up(message, part) for part in key.split("+")]
            if all(part is not None for part in parts):
                return key, parts[0] if len(parts) == 1 else parts
        sent = sorted(str(key) for key in _flat_keys(message))[:20]
        raise BadRequest(f"the observation lacks {what}: looked for {list(keys)}, got {sent}.")

    def _check_cameras(self, message: Mapping[str, Any]) -> None:
        images = [key for key, value in _flat_items(message) if isinstance(value, np.ndarray) and value.ndim >= 3]
        if len(images) > self.limits.max_cameras:
            raise BadRequest(
                f"{len(images)} images in one observation, more than the {self.limits.max_cameras} allowed."
            )


def _look_up(message: Mapping[str, Any], key: str) -> Any:
    """`message[key]`, or with a "/" in the key also `message[first][rest]`; None where there is nothing."""
    if key in message:
        return message[key]
    first, slash, rest = key.partition("/")
    inner = message.get(first)
    return _look_up(inner, rest) if slash and isinstance(inner, Mapping) else None


def _flat_items(message: Mapping[str, Any], prefix: str = "", depth: int = 0) -> list[tuple[str, Any]]:
    items = []
    for key, value in message.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and depth < 3:
            items += _flat_items(value, f"{name}/", depth + 1)
        else:
            items.append((name[:100], value))
    return items


def _flat_keys(message: Mapping[str, Any]) -> list[str]:
    return [key for key, _ in _flat_items(message)]
