"""Image-text chat data to a backbone's inputs, with labels on the answer."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import BatchFeature

from .backbone_inputs import append_tokens
from .processing_robovlms import RoboVLMProcessor


def encode_chat(processor: RoboVLMProcessor, samples: Sequence[Mapping[str, Any]]) -> BatchFeature:
    """A batch of conversations; the last message, the assistant's, is what is learnt.

    Args:
        samples: `images`, a list of uint8 RGB arrays `(height, width, 3)` or PIL images, and `messages`, as in
            transformers' chat templates: `[{"role": "user", "content": ...}, {"role": "assistant", "content": str}]`.
            A backbone without a chat template reads the images, the user's text and the answer, in one line.

    Returns:
        the backbone's inputs and `labels` `(rows, sequence)`, -100 at everything but the answer and its end.

    Raises:
        ValueError: if the last message is not the assistant's.
    """
    prompts, answers = zip(*[_prompt_and_answer(processor, sample) for sample in samples], strict=True)
    images = [[np.asarray(image) for image in sample["images"]] for sample in samples]
    inputs = processor.backbone_inputs(list(prompts), images)
    ids = [processor.tokenizer(a, add_special_tokens=False, return_tensors="pt")["input_ids"][0] for a in answers]
    append_tokens(inputs, ids, ids, processor.tokenizer.pad_token_id)
    return inputs


def _prompt_and_answer(processor: RoboVLMProcessor, sample: Mapping[str, Any]) -> tuple[str, str]:
    messages = sample["messages"]
    if not messages or messages[-1]["role"] != "assistant":
        raise ValueError(f"messages must end with the assistant's answer, got {messages}.")
    if processor.chat_template is None:
        said = " ".join(str(message["content"]) for message in messages[:-1])
        images = processor.backbone_inputs.image_prompt * len(sample["images"])
        return images + said, f" {messages[-1]['content']}{processor.tokenizer.eos_token}"
    render = processor.backbone_processor.apply_chat_template
    prompt = render(messages[:-1], add_generation_prompt=True)
    return prompt, render(messages).removeprefix(prompt)
