"""Writes the files beside this script: python make.py (needs torch, numpy, safetensors)."""
import collections
import os

import numpy
import torch
from safetensors.torch import save_file


def state():
    weight = torch.arange(6, dtype=torch.float32).reshape(2, 3) / 8
    return collections.OrderedDict(
        weight=weight,
        transposed=weight.t(),
        half=torch.tensor([0.5, -1.25], dtype=torch.float16),
        brain=torch.tensor([[1.5]], dtype=torch.bfloat16),
        double=torch.tensor([1 / 3], dtype=torch.float64),
        counter=torch.tensor(7),
        scalar=torch.tensor(2.5),
        empty=torch.zeros(0, 4),
        parameter=torch.nn.Parameter(torch.full((2,), 3.0)),
    )


class Unknown:
    """Of a module that a reader does not have."""

    def __init__(self):
        self.size = 3


class Intruder:
    """Runs a command in a careless reader."""

    def __reduce__(self):
        return os.system, ("touch intruder-was-here",)


if __name__ == "__main__":
    nnunet = {
        "network_weights": state(),
        "optimizer_state": {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.01}]},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [numpy.float64(0.25)], "epoch_end_timestamps": [1.5, 2]},
        "_best_ema": numpy.float32(0.5),
        "current_epoch": 1000,
        "init_args": {"plans": {"a": (1, 2)}, "device": torch.device("cpu"), "other": Unknown()},
        "inference_allowed_mirroring_axes": (0, 1, 2),
    }
    torch.save(state(), "state.pt")
    torch.save(state(), "legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(nnunet, "nnunet.pth")
    torch.save({"module." + name: tensor for name, tensor in state().items()}, "parallel.pt")
    torch.save({"state_dict": state(), "other": Intruder()}, "intruder.pt")
    save_file({name: tensor.detach().contiguous().clone() for name, tensor in state().items()}, "state.safetensors",
              metadata={"format": "pt"})
