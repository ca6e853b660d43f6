"""Run by torchrun, on two processes: two optimiser steps of each VLA given, in DDP that looks for no unused parameters,
then one in which no action counts."""

import sys

import torch
from peft import get_peft_model
from torch import distributed
from torch.nn.parallel import DistributedDataParallel
from transformers import AutoModel

from robovlms.training import lora_config

torch.set_num_threads(1)
distributed.init_process_group("gloo")
rank = distributed.get_rank()
for folder in sys.argv[1:]:
    batches = torch.load(f"{folder}/batches.pt")
    vla = AutoModel.from_pretrained(folder).train()
    if folder.endswith("adapted"):
        vla = get_peft_model(vla, lora_config(vla, rank=2, vision=True))
    model = DistributedDataParallel(vla, find_unused_parameters=False)
    optimizer = torch.optim.SGD([parameter for parameter in model.parameters() if parameter.requires_grad], lr=1e-3)
    for _ in range(2):  # DDP finds parameters without a gradient at the second step
        optimizer.zero_grad()
        model(**batches[rank]).loss.backward()
        optimizer.step()
    optimizer.zero_grad()
    nothing = {"labels": torch.full_like(batches[rank]["labels"], -100), "num_items_in_batch": torch.tensor(0)}
    model(**batches[rank] | nothing).loss.backward()
    assert not any(p.grad.any() or p.grad.isnan().any() for p in model.parameters() if p.requires_grad)
    own = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    both = [torch.empty_like(own) for _ in range(2)]
    distributed.all_gather(both, own)
    assert torch.equal(*both)
    print(f"stepped {folder}\n", end="", flush=True)  # in one piece: two processes write
distributed.destroy_process_group()
