"""The public Mamba networks on machines without their CUDA extensions. SegMamba, U-Mamba and Taming Mambas find, in place of
those, the same functions written with PyTorch's operators: a work-efficient parallel scan with a gradient of its own, the
fastest form known to us that needs nothing else. Mamba3D-MedSeg has such a scan itself, which runs in place of the CUDA one."""
import dataclasses
import importlib
import inspect

from peer_networks import CLASSES, SEQUENCE_UNET, Peer, load_file, originals_modules, timm_modules, unet_arguments


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


NNUNET_PLANS = {  # what only serves to read nnU-Net's plans
    "nnunetv2": {}, "nnunetv2.utilities": {}, "nnunetv2.utilities.plans_handling": {},
    "nnunetv2.utilities.plans_handling.plans_handler": {"ConfigurationManager": None, "PlansManager": None},
    "nnunetv2.utilities.network_initialization": {"InitWeights_He": None},
}
MAMBA_PACKAGE = {  # of which SegMamba's layer takes only the functions of the scan
    "mamba_ssm": {}, "mamba_ssm.ops": {}, "mamba_ssm.ops.triton": {},
    "causal_conv1d": {"causal_conv1d_fn": None, "causal_conv1d_update": None},
    "mamba_ssm.ops.triton.selective_state_update": {"selective_state_update": None},
    "mamba_ssm.ops.triton.layernorm": {"RMSNorm": None, "layer_norm_fn": None, "rms_norm_fn": None},
    "mamba_ssm.ops.selective_scan_interface": {
        "selective_scan_fn": None, "mamba_inner_fn": _inner, "bimamba_inner_fn": None,
        "mamba_inner_fn_no_out_proj": _inner_without_projection},
}


def _mamba_layer(originals):
    """SegMamba's fork of the Mamba layer, whose scan goes in three directions."""
    with originals_modules({}, MAMBA_PACKAGE):
        return load_file("mamba_simple", originals / "SegMamba/mamba/mamba_ssm/modules/mamba_simple.py").Mamba


def _plain_mamba_layer(originals):
    """The same in one direction, which is the plain layer."""

    class OneDirection(_mamba_layer(originals)):
        def __init__(self, **arguments):
            super().__init__(bimamba_type="v3", **arguments)
            self.bimamba_type = "none"
            for part in ("A_{}_log", "conv1d_{}", "x_proj_{}", "dt_proj_{}", "D_{}"):
                for direction in "bs":
                    delattr(self, part.format(direction))

    return OneDirection


def _segmamba(_patch, originals):
    with originals_modules({}, {"mamba_ssm": {"Mamba": _mamba_layer(originals)}}):
        network = load_file("segmamba", originals / "SegMamba/model_segmamba/segmamba.py").SegMamba
    return network(in_chans=1, out_chans=CLASSES)


def _nnunet_like(file, name, takes_patch=False):
    """A network of nnU-Net's form with plain Mamba layers, from a file of a changed nnU-Net."""

    def make(patch, originals):
        with originals_modules({}, {**NNUNET_PLANS, "mamba_ssm": {"Mamba": _plain_mamba_layer(originals)}}):
            network = getattr(load_file(name, originals / file), name)
        place = {"input_size": patch} if takes_patch else {}
        return network(**place, n_conv_per_stage=[2] * 4, n_conv_per_stage_decoder=[2] * 3, **unet_arguments())

    return make


def _ulike(encoder, decoder, letter="M"):
    """Mamba3D-MedSeg's network; `encoder` and `decoder` name the mixers' files."""

    def make(patch, originals):
        root = originals / "Mamba3D-MedSeg/nnunetv2"
        folders = {"nnunetv2": root, "nnunetv2.nets": root / "nets"}
        packages = {"mamba_ssm": {}, "mamba_ssm.modules": {}, "mamba_ssm.modules.mamba_simple": {"Mamba": None},
                    "mamba_ssm.ops": {}, "mamba_ssm.ops.selective_scan_interface": {"selective_scan_fn": None},
                    "nnunetv2.nets.mamba_MS": {"Mamba_MS": None}}
        with originals_modules(folders, {**timm_modules(), **packages}):
            network = importlib.import_module("nnunetv2.nets.Vmamba_stageC_MS_v6_3d_tri")
            scan = _scan_like_cuda(importlib.import_module("nnunetv2.nets.mambaBlock.pscan").pscan)
            importlib.import_module("mamba_ssm.ops.selective_scan_interface").selective_scan_fn = scan
            network.Mamba_ms, network.MambaConfig_ms = _ulike_mixer(encoder)
            network.Mamba, network.MambaConfig = _ulike_mixer(decoder)
            return network.Mamba_segnet(norm_cfg="IN", activation_cfg="LeakyReLU", img_size=list(patch),
                                        num_classes=CLASSES, deep_supervision=True, sc_en=[letter] * 4, sc=[letter] * 3)

    return make


def _scan_like_cuda(pscan):
    """mamba-ssm's selective_scan_fn, by Mamba3D-MedSeg's scan of [B, L, D, N]. x, delta, z [B, D, L]; B, C [B, N, L]."""
    import torch
    from torch.nn import functional

    def scan(x, delta, A, B, C, D, z, delta_softplus, delta_bias):
        assert delta_softplus
        x, delta, B, C, z = (tensor.transpose(1, 2) for tensor in (x, delta, B, C, z))
        delta = functional.softplus(delta + delta_bias)
        h = pscan(torch.exp(delta.unsqueeze(-1) * A), (delta * x).unsqueeze(-1) * B.unsqueeze(2))
        y = (h @ C.unsqueeze(-1)).squeeze(3) + D * x
        return (y * functional.silu(z)).transpose(1, 2)

    return scan


def _ulike_mixer(file):
    """The mixer, called as mixer(tokens, grid), and its configuration, which takes of the network's arguments its own."""
    module = importlib.import_module(f"nnunetv2.nets.mambaBlock.{file}")
    suffix = "_ms" if hasattr(module, "Mamba_ms") else ""
    configuration, mixer = getattr(module, f"MambaConfig{suffix}"), getattr(module, f"Mamba{suffix}")
    own = {field.name for field in dataclasses.fields(configuration)}

    class OnTokens(mixer):
        def forward(self, tokens, _grid):
            return super().forward(tokens)

    has_grid = len(inspect.signature(mixer.forward).parameters) == 3
    return (mixer if has_grid else OnTokens,
            lambda **arguments: configuration(**{name: value for name, value in arguments.items() if name in own}))


UMAMBA, TAMING = "U-Mamba/umamba/nnunetv2/nets/", "TamingMambas/tamingmambas/nnunetv2/nets/"
TAMING_PATCH = (16, 32, 32)  # with as many as 256 states a channel, the scan of a larger one takes tens of GB
RELEASED = ("decoder=released",)
PEERS = {
    "segmamba": Peer(_segmamba),
    "umambaenc": Peer(_nnunet_like(UMAMBA + "UMambaEnc_3d.py", "UMambaEnc", takes_patch=True), (*SEQUENCE_UNET,)),
    "umambabot": Peer(_nnunet_like(UMAMBA + "UMambaBot_3d.py", "UMambaBot"), (*SEQUENCE_UNET,)),
    "taming_segmamba": Peer(_nnunet_like(TAMING + "SegMamba.py", "SegMamba"), (*SEQUENCE_UNET,), TAMING_PATCH),
    "taming_segmambaskip": Peer(_nnunet_like(TAMING + "SegMambaSkip.py", "SegMambaSkip"), (*SEQUENCE_UNET,), TAMING_PATCH),
    "taming_bisegmamba": Peer(_nnunet_like(TAMING + "PanSegMamba.py", "PanSegMamba"), (*SEQUENCE_UNET,), TAMING_PATCH),
    "taming_multisegmamba": Peer(_nnunet_like(TAMING + "MultiSegMamba.py", "MultiSegMamba"), (*SEQUENCE_UNET,), TAMING_PATCH),
    "ulike_mamba_1d": Peer(_ulike("mamba", "mamba"), RELEASED),
    "ulike_mamba_3d": Peer(_ulike("mamba_3d", "mamba_3d"), RELEASED),
    "ulike_mamba_3dmt": Peer(_ulike("mamba_3d_ms_tri", "mamba_3d_tri"), RELEASED),
    "ulike_trans_sra": Peer(_ulike("mamba", "mamba", letter="T"), RELEASED),
}
