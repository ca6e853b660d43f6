"""Importing one module whenever another one has been imported."""

import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder


def after_import(module: str, then: str) -> None:
    """Imports `then` right after `module`: now where that has happened already, else when somebody imports it."""
    if module in sys.modules:
        import_module(then)
    else:
        sys.meta_path.insert(0, _Watcher(module, then))


class _Watcher(MetaPathFinder):
    """Finds one module the usual way, and imports another one once it has run."""

    def __init__(self, module: str, then: str):
        self.module, self.then = module, then

    def find_spec(self, fullname: str, path, target=None) -> ModuleSpec | None:
        if fullname != self.module:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return spec
        run = spec.loader.exec_module

        def run_and_import(module) -> None:
            sys.meta_path.remove(self)
            run(module)
            import_module(self.then)

        spec.loader.exec_module = run_and_import  # type: ignore[method-assign]
        return spec
