#!/usr/bin/env bash
# Gymnasium 1.4.0 does not load the entry point group "gymnasium.envs", by which plug-ins registered their environments in
# 0.x: an installed plug-in's id is unknown until its module is imported, by hand or by "module:id" in `gymnasium.make`.
#
# Expected (the plug-in declares the group, and nobody imports it):
#     gymnasium.make("plugin/Nothing-v0")         NamespaceNotFound
#     gymnasium.make("plugin:plugin/Nothing-v0")  an environment
# Fails if either changes. Needs Python 3.10 or later and a package index; everything lies in a temporary folder.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet "gymnasium==1.4.0" "setuptools>=77"

mkdir "$folder/plugin"
cat > "$folder/plugin/pyproject.toml" <<'TOML'
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "plugin"
version = "1"

[project.entry-points."gymnasium.envs"]
__root__ = "plugin"

[tool.setuptools]
py-modules = ["plugin"]
TOML
cat > "$folder/plugin/plugin.py" <<'PYTHON'
import gymnasium


class Nothing(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Discrete(1)


gymnasium.register("plugin/Nothing-v0", entry_point=Nothing)
PYTHON
"$folder/venv/bin/pip" install --quiet --no-build-isolation --no-deps "$folder/plugin"

"$folder/venv/bin/python" - <<'PYTHON'
from importlib.metadata import entry_points, version

import gymnasium

(declared,) = entry_points(group="gymnasium.envs")
print(f"gymnasium {version('gymnasium')}; declared: {declared.name} = {declared.value}")
try:
    gymnasium.make("plugin/Nothing-v0")
except gymnasium.error.NamespaceNotFound as error:
    print(f"make by id alone: NamespaceNotFound: {error}")
else:
    raise SystemExit("CHANGED: the entry point group is loaded")
env = gymnasium.make("plugin:plugin/Nothing-v0", disable_env_checker=True)
print(f"make by module and id: {type(env.unwrapped).__name__}")
PYTHON
