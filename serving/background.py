"""A server beside the rest of a program, for notebooks, tests and benchmarks."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .server import PolicyServer


@contextmanager
def in_background(server: PolicyServer, host: str = "127.0.0.1", port: int = 0) -> Iterator[PolicyServer]:
    """Run a server in a thread of its own and stop it in the end; port 0 takes a free one, `server.port` says which."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="policy server", daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(server.start(host, port), loop).result()
        try:
            yield server
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
