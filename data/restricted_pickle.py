"""Object arrays in .npy files without running what a pickle asks for.

CALVIN publishes its annotations as pickled dictionaries of lists, strings and arrays. Only the functions that numpy
itself needs to rebuild arrays and numbers may be named in such a file; anything else raises an error.
"""

import io
import pickle
from pathlib import Path

import numpy as np

_MODULES = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_NAMES = ("ndarray", "dtype", "_reconstruct", "scalar", "_frombuffer")


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str):
        if (module not in _MODULES or name not in _NAMES) and (module, name) != ("_codecs", "encode"):
            raise pickle.UnpicklingError(f"it asks for {module}.{name}; only what rebuilds numpy arrays is allowed")
        return super().find_class(module, name)


def load_array(file: str | Path) -> np.ndarray:
    """`np.load` of a .npy file whose objects may only be lists, dictionaries, strings, numbers and arrays.

    Raises pickle.UnpicklingError (or ValueError) for anything else.
    """
    data = io.BytesIO(Path(file).read_bytes())
    version = np.lib.format.read_magic(data)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(data)
    if not dtype.hasobject:
        data.seek(0)
        return np.load(data, allow_pickle=False)
    return _ArrayUnpickler(data).load().reshape(shape)
