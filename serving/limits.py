"""What a server lets its clients do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerLimits:
    """Bounds that keep a server's memory and time its own.

    Args:
        max_clients: connections at once; further ones are told to come back (503).
        max_message_bytes: of one request.
        max_cameras: images in one observation, whether the policy looks at them or not.
        max_image_pixels: height times width of one image.
        max_prompt_characters: length of the instruction.
        idle_seconds: a connection without a request for so long is closed.
        max_batch: requests that go through the model at once.
        batch_wait_seconds: how long a request waits for those of other active clients.
        drain_seconds: how long a server that is asked to stop waits for requests under way.
    """

    max_clients: int = 64
    max_message_bytes: int = 32 * 2**20
    max_cameras: int = 8
    max_image_pixels: int = 4096 * 4096
    max_prompt_characters: int = 2000
    idle_seconds: float = 600.0
    max_batch: int = 32
    batch_wait_seconds: float = 0.005
    drain_seconds: float = 10.0

    def __post_init__(self):
        for name, value in vars(self).items():
            if value < 0 or (value == 0 and name != "batch_wait_seconds"):
                raise ValueError(f"{name} must be positive, got {value}.")
