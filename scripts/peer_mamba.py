"""The public Mamba networks on machines without their CUDA extensions: a folder with clones of ge-xing/SegMamba and
bowang-lab/U-Mamba (as SegMamba/ and U-Mamba/), whose Mamba layer finds, in place of its extensions, the same functions
written with PyTorch's operators: a work-efficient parallel scan with a gradient of its own, the fastest form known to us
that needs nothing else."""
import importlib.util
import sys
import types


def _scan(a, b):
    """h[t] = a[t] h[t-1] + b[t] along the third axis: pairs are joined, scanned, and taken apart again."""
    import torch

    length = a.shape[2]
    if length == 1:
        return b
    pairs = length // 2
    first_a, first_b = a[:, :, 0:2 * pairs:2], b[:, :, 0:2 * pairs:2]
    second_a, second_b = a[:, :, 1:2 * pairs:2], b[:, :, 1:2 * pairs:2]
    odd = _scan(first_a * second_a, second_a * first_b + second_b)
    h = torch.empty_like(b)
    h[:, :, 1:2 * pairs:2] = odd
    h[:, :, 0] = b[:, :, 0]
    h[:, :, 2::2] = a[:, :, 2::2] * odd[:, :, :(length - 1) // 2] + b[:, :, 2::2]
    return h


def _scan_function():
    import torch

    class Scan(torch.autograd.Function):
        @staticmethod
        def forward(context, a, b):
            h = _scan(a, b)
            context.save_for_backward(a, h)
            return h

        @staticmethod
        def backward(context, gradient):
            a, h = context.saved_tensors
            later = torch.cat([a[:, :, 1:], torch.zeros_like(a[:, :, :1])], 2)
            total = _scan(later.flip(2), gradient.flip(2)).flip(2)
            before = torch.cat([torch.zeros_like(h[:, :, :1]), h[:, :, :-1]], 2)
            return total * before, total

    return Scan.apply


def _inner_without_projection(xz, conv_weight, conv_bias, x_proj, dt_proj, A, B, C, D, delta_bias=None,
                              delta_softplus=True):
    """[B, 2 D, L] → [B, D, L]: convolution, scan and gate of a Mamba layer."""
    import torch
    from torch.nn import functional

    assert B is None and C is None and delta_softplus
    length, rank, states = xz.shape[-1], dt_proj.shape[1], A.shape[1]
    x, z = xz.chunk(2, 1)
    x = functional.conv1d(x, conv_weight, conv_bias, padding=conv_weight.shape[-1] - 1, groups=x.shape[1])
    x = functional.silu(x[..., :length])
    dt, B, C = functional.linear(x.transpose(1, 2), x_proj).split([rank, states, states], -1)
    delta = functional.softplus(functional.linear(dt, dt_proj, delta_bias)).transpose(1, 2)
    decay = torch.exp(delta.unsqueeze(-1) * A[:, None])
    h = _scan_function()(decay, (delta * x).unsqueeze(-1) * B[:, None])
    y = (h * C[:, None]).sum(-1) + D[:, None] * x
    return y * functional.silu(z)


def _inner(xz, conv_weight, conv_bias, x_proj, dt_proj, out_proj, out_bias, A, B=None, C=None, D=None, delta_bias=None,
           delta_softplus=True):
    from torch.nn import functional

    y = _inner_without_projection(xz, conv_weight, conv_bias, x_proj, dt_proj, A, B, C, D, delta_bias, delta_softplus)
    return functional.linear(y.transpose(1, 2), out_proj, out_bias)


def _module(name, **members):
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module
    return module


def _load(name, file):
    if not file.is_file():
        sys.exit(f"--originals: {file} is not there")
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _provide_mamba(originals, directions):
    """The Mamba layer of SegMamba's fork, in three directions or in one, which is the plain one; what it does not need of
    its package is None."""
    _module("mamba_ssm"), _module("mamba_ssm.ops"), _module("mamba_ssm.ops.triton")
    _module("causal_conv1d", causal_conv1d_fn=None, causal_conv1d_update=None)
    _module("mamba_ssm.ops.triton.selective_state_update", selective_state_update=None)
    _module("mamba_ssm.ops.triton.layernorm", RMSNorm=None, layer_norm_fn=None, rms_norm_fn=None)
    _module("mamba_ssm.ops.selective_scan_interface", selective_scan_fn=None, mamba_inner_fn=_inner,
            bimamba_inner_fn=None, mamba_inner_fn_no_out_proj=_inner_without_projection)
    layer = _load("mamba_simple", originals / "SegMamba/mamba/mamba_ssm/modules/mamba_simple.py")

    class OneDirection(layer.Mamba):
        def __init__(self, **arguments):
            super().__init__(bimamba_type="v3", **arguments)
            self.bimamba_type = "none"
            for part in ("A_{}_log", "conv1d_{}", "x_proj_{}", "dt_proj_{}", "D_{}"):
                for direction in "bs":
                    delattr(self, part.format(direction))

    sys.modules["mamba_ssm"].Mamba = layer.Mamba if directions == 3 else OneDirection


def segmamba(originals, classes):
    _provide_mamba(originals, directions=3)
    return _load("segmamba", originals / "SegMamba/model_segmamba/segmamba.py").SegMamba(in_chans=1, out_chans=classes)


def umamba(originals, kind, patch, arguments):
    """`kind` is Enc or Bot; `arguments` as for nnU-Net's networks."""
    _provide_mamba(originals, directions=1)
    # What only serves to read nnU-Net's plans.
    for name in ("nnunetv2", "nnunetv2.utilities", "nnunetv2.utilities.plans_handling"):
        _module(name)
    _module("nnunetv2.utilities.plans_handling.plans_handler", ConfigurationManager=None, PlansManager=None)
    _module("nnunetv2.utilities.network_initialization", InitWeights_He=None)
    file = originals / f"U-Mamba/umamba/nnunetv2/nets/UMamba{kind}_3d.py"
    network = getattr(_load(f"umamba_{kind}", file), f"UMamba{kind}")
    place = {"input_size": patch} if kind == "Enc" else {}
    return network(**place, **arguments)
