"""An example contract and random samples of it."""

import numpy as np

from robovlms import ActionContract, CameraSpec, GripperSpec, Statistics, VectorSpec
from robovlms.data import WindowSample

ACTION_NAMES = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
INSTRUCTIONS = ("open", "pick up the red block", "push the block left")


def example_statistics(width: int) -> Statistics:
    """Return a different, skewed range for every dimension."""
    high = [0.25 * (index + 1) for index in range(width)]
    return Statistics(
        q01=tuple(-0.5 * value for value in high),
        q99=tuple(0.75 * value for value in high),
        min=tuple(-value for value in high),
        max=tuple(high),
        mean=tuple(0.1 * value for value in high),
        std=tuple(0.3 * value for value in high),
        count=1000,
        origin="example",
    )


def example_contract(**changes) -> ActionContract:
    """Return an arm with two cameras of different sizes, a three-dimensional state and an inverted gripper."""
    fields = {
        "embodiment": "arm",
        "action": VectorSpec(ACTION_NAMES, normalization="min_max", statistics=example_statistics(7)),
        "state": VectorSpec(("s0", "s1", "s2"), normalization="mean_std", statistics=example_statistics(3)),
        "cameras": (CameraSpec("static", 48, 64), CameraSpec("gripper", 32, 32)),
        "grippers": (GripperSpec(6, open_value=0.0, closed_value=1.0),),
        "control_frequency": 10.0,
        "chunk_size": 3,
        "rotation": "none",
        "frame": "base",
        "mode": "delta",
    }
    return ActionContract(**(fields | changes))


def example_sample(contract: ActionContract, seed: int, instruction: str | None = None) -> WindowSample:
    """Return a random window sample, as a dataset would return it: some history is padding, some actions do not
    count."""
    random = np.random.default_rng(seed)
    window, chunk = contract.window_size, contract.chunk_size
    frame_mask = np.arange(window) >= random.integers(0, window)
    action_mask = np.arange(chunk)[None] < random.integers(1, chunk + 1, (window, 1))
    actions = random.uniform(-0.2, 0.2, (window, chunk, contract.action_dim)).astype(np.float32)
    for gripper in contract.grippers:
        actions[..., gripper.dim] = random.choice([gripper.open_value, gripper.closed_value], (window, chunk))
    sample = WindowSample(
        images={
            camera.name: random.integers(0, 256, (window, camera.height, camera.width, 3), dtype=np.uint8)
            for camera in contract.cameras
        },
        actions=actions,
        action_mask=action_mask,
        frame_mask=frame_mask,
        instruction=instruction or INSTRUCTIONS[seed % 3],
        embodiment=contract.embodiment,
    )
    if contract.state is not None:
        sample["state"] = random.uniform(-0.2, 0.2, (window, contract.state.dim)).astype(np.float32)
    return sample
