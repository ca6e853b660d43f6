"""Actions as tokens: uniform bins against the original's tables, FAST against its own transform."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file
from scipy.fft import dct
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoProcessor, PreTrainedTokenizerFast

from robovlms.processing.action_tokenizer import new_token_ids, reused_token_ids
from robovlms.processing.fast_action_tokenizer import FASTActionTokenizer
from robovlms.processing.uniform_action_tokenizer import UniformActionTokenizer, original_token_ids

MISC = Path(__file__).parents[1].parent / "shared" / "reference" / "golden" / "_misc"
HALF_STEPS = np.sqrt(10) * 0.5 / 10 + 1e-5  # half a step of 1 / scale in each of 10 coefficients
unit = st.floats(-1, 1, width=32)


@pytest.mark.skipif(not MISC.exists(), reason="needs ../shared/reference, which is not here")
def test_uniform_bins_are_the_originals():
    values = load_file(MISC / "values.safetensors")
    for table in json.loads((MISC / "config.json").read_text())["action_tokenizer"]:
        tag, bins, scale = table["tag"], table["n_bins"], table["max"]
        tokenizer = UniformActionTokenizer(original_token_ids(table["tokenizer_orig_size"], bins))
        # Where the original's range is not [-1, 1], rescaling may put a value on an edge to its other side.
        actions = values[f"{tag}.actions"] / scale
        on_edge = (np.abs(actions[:, None] - tokenizer.edges).min(axis=1) <= 1e-12) & (np.abs(actions) < 1)
        counted = np.ones_like(on_edge) if scale == 1 else ~on_edge
        assert (tokenizer.encode(actions) == values[f"{tag}.ids"])[counted].all()
        np.testing.assert_allclose(tokenizer.decode(values[f"{tag}.ids"]) * scale, values[f"{tag}.decoded"], atol=1e-7)
        ids = np.arange(table["begin"] + 1, table["end"])
        assert set(ids.tolist()) == set(tokenizer.token_ids)
        np.testing.assert_allclose(tokenizer.decode(ids) * scale, values[f"{tag}.all_ids_decoded"][1:], atol=1e-7)


@given(arrays(np.float32, (4, 3), elements=unit), st.sampled_from([2, 64, 256]))
def test_uniform_round_trip_is_within_half_a_bin(actions, bins):
    tokenizer = UniformActionTokenizer(range(1000, 1000 + bins))
    ids = tokenizer.encode(actions)
    decoded = tokenizer.decode(ids)
    assert np.abs(decoded - actions).max() <= 1 / (bins - 1) + 1e-6
    inner = ids < 999 + bins  # the last bin decodes as the one before it
    assert (tokenizer.encode(decoded) == ids)[inner].all()


def test_reused_tokens_leave_special_ones_alone(backbone):
    tokenizer = AutoProcessor.from_pretrained(backbone("paligemma")).tokenizer
    ids = reused_token_ids(tokenizer, 256)
    assert len(set(ids)) == 256 and list(ids) == sorted(ids, reverse=True)
    assert not set(ids) & set(tokenizer.added_tokens_decoder)
    others = reused_token_ids(tokenizer, 100, offset=0, forbidden=ids[:50])
    assert not set(others) & set(ids[:50]) and set(others) > set(ids[50:80])
    with pytest.raises(ValueError, match="ordinary tokens"):
        reused_token_ids(tokenizer, 10**6)


def test_new_tokens_are_read_back_as_one_each(backbone):
    tokenizer = AutoProcessor.from_pretrained(backbone("smolvlm")).tokenizer
    before = set(tokenizer.get_vocab().values())
    ids = new_token_ids(tokenizer, 64)
    assert len(set(ids)) == 64 and not set(ids) & before
    assert tokenizer(tokenizer.decode(ids), add_special_tokens=False)["input_ids"] == list(ids)


def test_what_has_no_bin_is_refused():
    tokenizer = UniformActionTokenizer(range(10, 20))
    with pytest.raises(ValueError, match=r"id\(s\) \[7\] are no action tokens"):
        tokenizer.decode(np.array([[10, 7]]))
    with pytest.raises(ValueError, match="not finite"):
        tokenizer.encode(np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match="distinct"):
        UniformActionTokenizer([3, 3])


def smooth_chunks(count=300):
    time = np.linspace(0, 1, 10)[:, None]
    rng = np.random.default_rng(0)
    waves = [np.sin(time * rng.uniform(0, 3, 7) + rng.uniform(0, 6, 7)) * rng.uniform(0, 1, 7) for _ in range(count)]
    return np.array(waves)


@pytest.fixture(scope="module")
def fast():
    return FASTActionTokenizer.fit(smooth_chunks(), vocab_size=512, token_ids=range(3000, 2000, -1))


def test_fast_compresses_smooth_chunks_and_saves(fast):
    again = FASTActionTokenizer(**json.loads(json.dumps(fast.to_dict())))
    assert again.to_dict() == fast.to_dict()
    chunks = smooth_chunks()
    assert np.mean([len(fast.encode(chunk)) for chunk in chunks]) < 0.6 * 70
    for chunk in chunks[:20]:
        ids = fast.encode(chunk)
        assert again.encode(chunk) == ids and set(ids) <= set(fast.token_ids)
        assert np.array_equal(again.decode(ids), fast.decode(ids))


@given(actions=arrays(np.float32, (10, 7), elements=unit))
def test_fast_error_is_bounded_by_its_rounding(fast, actions):
    decoded = fast.decode(fast.encode(actions))
    # An orthonormal transform keeps distances.
    assert (np.linalg.norm(decoded - actions, axis=0) <= HALF_STEPS).all()
    kept, given = (dct(np.float64(values), axis=0, norm="ortho") * 10 for values in (decoded, actions))
    assert np.abs(kept - np.rint(kept)).max() < 1e-4 and np.abs(kept - given).max() < 0.5 + 1e-4


@given(data=st.data())
def test_fast_tokens_that_fill_a_chunk_can_be_decoded(fast, data):
    ids, left = [], 70
    while left:
        index = data.draw(st.sampled_from([i for i, length in enumerate(fast.token_lengths) if length <= left]))
        ids.append(fast.token_ids[index])
        left -= fast.token_lengths[index]
    assert np.isfinite(fast.decode(ids)).all()


def test_fast_refuses_what_is_no_chunk(fast):
    chunk = smooth_chunks(1)[0]
    with pytest.raises(ValueError, match="a chunk has 70"):
        fast.decode(fast.encode(chunk)[:-1])
    with pytest.raises(ValueError, match=r"id\(s\) \[5\] are no action tokens"):
        fast.decode([*fast.encode(chunk), 5])
    for bad in (chunk + 3, np.full_like(chunk, np.nan)):
        with pytest.raises(ValueError, match=r"in \[-1, 1\]"):
            fast.encode(bad)
        with pytest.raises(ValueError, match=r"in \[-1, 1\]"):
            FASTActionTokenizer.fit(bad[None])
    with pytest.raises(ValueError, match="must have shape"):
        fast.encode(chunk[:5])
    with pytest.raises(ValueError, match="at least 65"):
        FASTActionTokenizer.fit(chunk[None], vocab_size=50)
    with pytest.raises(ValueError, match="distinct ids"):
        FASTActionTokenizer.fit(smooth_chunks(), vocab_size=512, token_ids=range(100))


def publish(folder, texts, **config):
    """A folder in the layout of the published encodings, byte-level; and what encodes texts with it."""
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=600, show_progress=False)
    published = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer)
    published.save_pretrained(folder)
    (folder / "processor_config.json").write_text(json.dumps({"scale": 10, "action_dim": None, **config}))
    return published


@pytest.mark.parametrize("min_token", [-40, -354])  # characters of one byte, and of two
def test_published_encodings_are_read(tmp_path, min_token):
    chunks = smooth_chunks()
    rounded = np.rint(dct(chunks, axis=1, norm="ortho") * 10).astype(int)
    texts = ["".join(chr(value - min_token) for value in chunk.ravel()) for chunk in rounded]
    published = publish(tmp_path, texts, min_token=min_token, time_horizon=10)
    tokenizer = FASTActionTokenizer.from_published(tmp_path, 10, 7)
    for text, chunk in zip(texts[:50], chunks[:50], strict=True):
        ids = tokenizer.encode(chunk)
        assert ids == published(text)["input_ids"]
        assert np.linalg.norm(tokenizer.decode(ids) - chunk, axis=0).max() <= HALF_STEPS
    again = FASTActionTokenizer(**json.loads(json.dumps(tokenizer.to_dict())))
    assert again.encode(chunks[0]) == tokenizer.encode(chunks[0])
    assert tokenizer.token_lengths is None
    with pytest.raises(ValueError, match="part of a character"):
        tokenizer.decode([*tokenizer.encode(chunks[0]), published.convert_tokens_to_ids("Å")])
    with pytest.raises(ValueError, match="time_horizon = 10, asked for 5"):
        FASTActionTokenizer.from_published(tmp_path, 5, 7)


def test_published_encodings_of_a_smaller_range_are_refused(tmp_path):
    publish(tmp_path, ["text"], min_token=-5)
    with pytest.raises(ValueError, match="smaller range"):
        FASTActionTokenizer.from_published(tmp_path, 10, 7).encode(-np.ones((10, 7)))
