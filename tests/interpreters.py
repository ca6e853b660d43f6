"""Other Pythons, for what must run in them."""

import os
import shutil
import subprocess


def interpreter(names, imports, environment):
    """An interpreter of another Python or with other packages, or None: named by an environment variable or on PATH."""
    for name in filter(None, [os.environ.get(environment), *names]):
        found = shutil.which(name)
        if found and subprocess.run([found, "-c", imports], capture_output=True).returncode == 0:
            return found
    return None
