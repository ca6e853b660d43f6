"""Choice of a headless OpenGL backend that really works on this machine."""

import functools
import importlib
import os
import platform
import subprocess
import sys

BACKENDS = {"Linux": ("egl", "osmesa", "glfw"), "Darwin": ("cgl", "glfw")}.get(platform.system(), ("glfw",))
"""MuJoCo's rendering backends on this system in the order in which they are tried."""

_PROBE = """
import mujoco
from mujoco.{backend} import GLContext
context = GLContext(8, 8)
context.make_current()
model = mujoco.MjModel.from_xml_string("<mujoco/>")
mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value).free()
context.free()
"""


class NoOpenGLError(RuntimeError):
    """No OpenGL backend can make a context here."""


def _probe(backend: str) -> str | None:
    """Make a real context in a child process (a broken driver may crash it); None if it works, else the reason."""
    variables = {**os.environ, "MUJOCO_GL": backend}
    variables.pop("PYOPENGL_PLATFORM", None)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE.format(backend=backend)],
            env=variables,
            capture_output=True,
            text=True,
            timeout=120,
        )
    except subprocess.TimeoutExpired:
        return "no answer within 120 s"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


@functools.cache
def choose_backend() -> str:
    """Return a working backend, one of `BACKENDS`, and set `MUJOCO_GL` to it.

    `MUJOCO_GL`, where the user has set it, is the only candidate. Otherwise the backends are probed in order, once per
    process; child processes inherit the answer.

    Raises:
        NoOpenGLError: no candidate can make a context.
    """
    wanted = os.environ.get("MUJOCO_GL", "").strip().lower()
    if wanted and wanted not in BACKENDS:
        raise NoOpenGLError(f"MUJOCO_GL is {wanted!r}; MuJoCo can use one of {', '.join(BACKENDS)}")
    failures = {}
    checked = os.environ.get("ROBOVLMS_GL_CHECKED")
    for backend in [wanted] if wanted else BACKENDS:
        reason = None if backend == checked else _probe(backend)
        if reason is None:
            os.environ["MUJOCO_GL"] = backend
            os.environ["ROBOVLMS_GL_CHECKED"] = backend
            return backend
        failures[backend] = reason
    tried = "\n".join(f"  {backend}: {reason}" for backend, reason in failures.items())
    raise NoOpenGLError(
        "No OpenGL backend works for headless rendering. On Debian or Ubuntu install `libegl1 libgl1-mesa-dri` "
        f"(EGL) or `libosmesa6` (OSMesa). Tried:\n{tried}"
    )


def make_context(width: int, height: int):
    """Make an OpenGL context of the chosen backend with MuJoCo's `GLContext` interface."""
    backend = choose_backend()
    if backend in ("egl", "osmesa"):
        os.environ.setdefault("PYOPENGL_PLATFORM", backend)
    return importlib.import_module(f"mujoco.{backend}").GLContext(width, height)
