"""Which actions count in the loss where no labels say so."""

import numpy as np
import torch

from robovlms import LSTMHeadConfig, PolicyHeadContinuousVLA, RoboVLMProcessor


def test_frames_before_the_episode_do_not_count_without_labels(backbone, contract, sample):
    agreed = contract(window_size=3)
    processor = RoboVLMProcessor.from_backbone(backbone("smolvlm"), agreed)
    head = LSTMHeadConfig(hidden_size=16, num_layers=1, decoder_sizes=(16,))
    vla = PolicyHeadContinuousVLA.from_backbone(backbone("smolvlm"), agreed, head_config=head).eval()
    given = sample(agreed, 0)
    inputs = processor(
        images=[given["images"]],
        instruction=[given["instruction"]],
        state=given["state"][None],
        actions=given["actions"][None],
        frame_mask=np.array([[False, True, True]]),
    )
    labels = inputs.pop("labels")
    assert (labels[:, 0] == -100).all() and (labels[:, 1:] == 0).all()
    with torch.no_grad():
        loss = vla(**inputs).loss
        assert torch.equal(loss, vla(**inputs, labels=labels).loss)
        inputs["actions"][:, 0] += 1
        assert torch.equal(vla(**inputs).loss, loss)
