"""One PyBullet physics server, without a window."""

from functools import partial
from typing import Any


class Client:
    """PyBullet's functions and constants, bound to a server of their own.

    Raises:
        ImportError: PyBullet isn't installed; the message says how.
    """

    def __init__(self):
        try:
            import pybullet
        except ImportError as error:
            raise ImportError("CALVIN runs on PyBullet: pip install 'robovlms[calvin]'") from error
        self._pybullet = pybullet
        self._number = pybullet.connect(pybullet.DIRECT)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._pybullet, name)
        return partial(attribute, physicsClientId=self._number) if callable(attribute) else attribute

    def close(self) -> None:
        """End the server. Harmless when it has ended."""
        if self._pybullet.isConnected(self._number):
            self._pybullet.disconnect(self._number)
