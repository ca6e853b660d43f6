"""Image-text chat data to a backbone's inputs, with labels on the answer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import BatchFeature

from .backbone_inputs import append_tokens
from .processing_robovlms import RoboVLMProcessor


def encode_chat(processor: RoboVLMProcessor, samples: Sequence[Mapping[str, Any]]) -> BatchFeature:
    """Encode a batch of conversations; the last message, the assistant's, is what is learnt.

    Args:
        samples: `images`, a list of uint8 RGB arrays `(height, width, 3)` or PIL images, and `messages`, as in
            transformers' chat templates: `[{"role": "user", "content": ...}, {"role": "assistant", "content": ...}]`. A
            content is a text or a list of parts; images without a part stand in front of the first message. A backbone
            without a chat template reads the images, the user's text and the answer, in one line.

    Returns:
        the backbone's inputs and `labels` `(rows, sequence)`, -100 at everything but the answer and its end.

    Raises:
        ValueError: if the last message is not the assistant's, parts and images differ in number, or the chat template
            does not put an answer behind the prompt for it.
    """
    prompts, answers = zip(*[_prompt_and_answer(processor, sample) for sample in samples], strict=True)
    images = [[np.asarray(image) for image in sample["images"]] for sample in samples]
    inputs = processor.backbone_inputs(list(prompts), images)
    encode = processor.tokenizer
    ids = [encode(text_target=a, add_special_tokens=False, return_tensors="pt")["input_ids"][0] for a in answers]
    append_tokens(
        inputs, ids, ids, processor.tokenizer.pad_token_id, token_type=processor.backbone_inputs.appended_token_type
    )
    return inputs


def _prompt_and_answer(processor: RoboVLMProcessor, sample: Mapping[str, Any]) -> tuple[str, str]:
    messages, backbone = sample["messages"], processor.backbone_inputs
    if not messages or messages[-1]["role"] != "assistant":
        raise ValueError(f"messages must end with the assistant's answer, got {messages}.")
    if processor.chat_template is None:
        *asked, answer = [_text(message) for message in messages]
        images = backbone.image_separator.join([backbone.image_prompt] * len(sample["images"]))
        return images + " ".join(asked), f" {answer}{processor.tokenizer.eos_token}"
    messages = _with_images(messages, len(sample["images"]))
    render = processor.backbone_processor.apply_chat_template
    prompt, whole = render(messages[:-1], add_generation_prompt=True), render(messages)
    if not whole.startswith(prompt):
        raise ValueError(
            "The chat template writes a prompt for an answer that the whole conversation does not begin with, "
            f"{prompt!r} and {whole!r}: it cannot be told where the answer is."
        )
    return prompt, whole.removeprefix(prompt)


def _parts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _text(message: Mapping[str, Any]) -> str:
    return " ".join(part["text"] for part in _parts(message) if part["type"] == "text")


def _with_images(messages: Sequence[Mapping[str, Any]], count: int) -> list[dict[str, Any]]:
    """Messages of parts, in which `count` images have theirs."""
    written = [dict(message, content=_parts(message)) for message in messages]
    there = sum(part["type"] == "image" for message in written for part in message["content"])
    if not there:
        written[0]["content"] = [{"type": "image"}] * count + written[0]["content"]
    elif there != count:
        raise ValueError(f"messages have parts for {there} images, images holds {count}.")
    return written
