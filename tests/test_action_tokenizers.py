"""Actions as tokens: uniform bins against the original's tables, FAST against its own transform."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file

from robovlms.processing.fast_action_tokenizer import FASTActionTokenizer
from robovlms.processing.uniform_action_tokenizer import (
    UniformActionTokenizer,
    original_token_ids,
    reused_token_ids,
)

MISC = Path(__file__).parents[1].parent / "shared" / "reference" / "golden" / "_misc"
unit = st.floats(-1, 1, width=32)


@pytest.mark.skipif(not MISC.exists(), reason="needs ../shared/reference, which is not here")
def test_uniform_bins_are_the_originals():
    values = load_file(MISC / "values.safetensors")
    for table in json.loads((MISC / "config.json").read_text())["action_tokenizer"]:
        tag, bins, scale = table["tag"], table["n_bins"], table["max"]
        tokenizer = UniformActionTokenizer(original_token_ids(table["tokenizer_orig_size"], bins))
        actions = values[f"{tag}.actions"] / scale
        away_from_edges = np.abs(actions[:, None] - tokenizer.edges).min(axis=1) > 1e-12
        ids = tokenizer.encode(actions)
        assert (ids == values[f"{tag}.ids"])[away_from_edges | (np.abs(actions) >= 1)].all()
        np.testing.assert_allclose(tokenizer.decode(values[f"{tag}.ids"]) * scale, values[f"{tag}.decoded"], atol=1e-6)


@given(arrays(np.float32, (4, 3), elements=unit))
def test_uniform_round_trip_is_within_half_a_bin(actions):
    tokenizer = UniformActionTokenizer(range(1000, 1256))
    ids = tokenizer.encode(actions)
    decoded = tokenizer.decode(ids)
    assert np.abs(decoded - actions).max() <= 1 / 255 + 1e-6
    inner = ids < 1255  # the last bin decodes as the one before it
    assert (tokenizer.encode(decoded) == ids)[inner].all()


def test_reused_tokens_leave_special_ones_alone(backbone):
    from transformers import AutoProcessor

    tokenizer = AutoProcessor.from_pretrained(backbone("paligemma")).tokenizer
    ids = reused_token_ids(tokenizer, 256)
    assert len(set(ids)) == 256 and list(ids) == sorted(ids, reverse=True)
    assert not set(ids) & set(tokenizer.added_tokens_decoder)
    with pytest.raises(ValueError, match="ordinary tokens"):
        reused_token_ids(tokenizer, 10**6)


def test_unknown_tokens_are_refused():
    with pytest.raises(ValueError, match=r"id\(s\) \[7\] are no action tokens"):
        UniformActionTokenizer(range(10, 20)).decode(np.array([[10, 7]]))


@pytest.fixture(scope="module")
def fast():
    time = np.linspace(0, 1, 10)[:, None]
    rng = np.random.default_rng(0)
    chunks = [np.sin(time * rng.uniform(0, 3, 7) + rng.uniform(0, 6, 7)) * rng.uniform(0, 1, 7) for _ in range(300)]
    return FASTActionTokenizer.fit(np.array(chunks), vocab_size=512), np.array(chunks)


def test_fast_compresses_smooth_chunks_and_saves(fast):
    tokenizer, chunks = fast
    again = FASTActionTokenizer(**json.loads(json.dumps(tokenizer.to_dict())))
    lengths = [len(tokenizer.encode(chunk)) for chunk in chunks]
    assert np.mean(lengths) < 0.6 * 70
    for chunk in chunks[:20]:
        assert again.encode(chunk) == tokenizer.encode(chunk)
        assert np.array_equal(again.decode(again.encode(chunk)), tokenizer.decode(tokenizer.encode(chunk)))


@given(actions=arrays(np.float32, (10, 7), elements=unit))
def test_fast_error_is_bounded_by_its_rounding(fast, actions):
    tokenizer, _ = fast
    ids = tokenizer.encode(actions)
    decoded = tokenizer.decode(ids)
    # An orthonormal transform keeps distances: half a step of 1 / scale in each of 10 coefficients.
    assert (np.linalg.norm(decoded - actions, axis=0) <= np.sqrt(10) * 0.5 / 10 + 1e-5).all()


def test_fast_refuses_what_is_no_chunk(fast):
    tokenizer, chunks = fast
    with pytest.raises(ValueError, match="a chunk has 70"):
        tokenizer.decode(tokenizer.encode(chunks[0])[:-1])
    with pytest.raises(ValueError, match=r"in \[-1, 1\]"):
        tokenizer.encode(chunks[0] + 3)
    with pytest.raises(ValueError, match="must have shape"):
        tokenizer.encode(chunks[0][:5])
