"""The structure pages' own snippets, run in their order on a tiny backbone."""

import re
from pathlib import Path

import numpy as np
import pytest

PAGES = sorted((Path(__file__).parents[1] / "docs" / "structures").glob("*.md"))
WINDOWS = {"interleaved": 3, "policy_head": 3}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_snippets_run(page, backbone, contract, sample):
    own = contract(window_size=WINDOWS.get(page.stem, 1), state=None)
    frame = sample(own.replace(window_size=1), 0)["images"]
    names = {
        "backbone": str(backbone("smolvlm")),
        "contract": own,
        "frame": frame,
        "sentence": "push the block",
        "state": None,
        "chunks": np.random.default_rng(0).uniform(-0.2, 0.2, (100, own.chunk_size, own.action_dim)),
    }
    snippets = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    assert snippets
    for snippet in snippets:
        exec(snippet, names)
