"""The public PyTorch implementations of our networks, each as a `Peer`: how it is made, under which options and patch ours
is the same network. MONAI's and nnU-Net's come from PyPI; the others from a folder of clones (--originals), each under its
repository's name: CoTr, LeViT-UNet, Mamba3D-MedSeg, MedNeXt, MISSFormer, nnFormer, SegFormer3D, SegMamba, Swin-Unet,
TamingMambas, TransBTS, TransUNet, U-Mamba. Their network files run as they are; what those import only for training,
plans or CUDA is replaced by empty modules."""
import contextlib
import dataclasses
import importlib
import importlib.util
import json
import sys
import types
from collections.abc import Callable

PACKAGES = ["monai==1.6.1", "einops", "dynamic-network-architectures==0.4.4", "safetensors", "scipy", "timm==1.0.22",
            "ml_collections", "pillow"]
CLASSES = 14
FEATURES, STRIDES = [32, 64, 128, 256], [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]]
UNET = [f"features_per_stage={json.dumps(FEATURES)}", f"strides={json.dumps(STRIDES)}", "n_stages=4"]
SEQUENCE_UNET = [*UNET, "n_conv_per_stage=[2,2,2,2]", "n_conv_per_stage_decoder=[2,2,2]", "conv_bias=true"]


@dataclasses.dataclass(frozen=True)
class Peer:
    """`make` takes the patch and, for originals that PyPI does not have, their folder. `slices`: a 2D network, for which
    the patch's slices are the batch."""
    make: Callable
    options: tuple = ()
    patch: tuple = None  # where the original does not take, or has no memory for, the patch asked for
    channels: int = 1
    classes: int = CLASSES
    slices: bool = False
    cloned: bool = True


def _new_module(name, **members):
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module
    return module


@contextlib.contextmanager
def originals_modules(folders, stand_ins):
    """Imports of `folders` (package name: folder, whose __init__ is not run) and of `stand_ins` (module name: members) work
    within; afterwards nothing of either is left, so that originals with packages of one name do not meet."""
    names = {name.partition(".")[0] for name in [*folders, *stand_ins]}
    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in names}
    for name, folder in folders.items():
        if not folder.is_dir():
            sys.exit(f"--originals: {folder} is not there")
        _new_module(name, __path__=[str(folder)])
    for name, members in stand_ins.items():
        _new_module(name, **members)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] in names]:
            del sys.modules[name]
        sys.modules.update(before)


def load_file(name, file):
    if not file.is_file():
        sys.exit(f"--originals: {file} is not there")
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def timm_modules():
    """timm's layers, also under the names that newer versions have dropped."""
    from timm import layers

    return {"timm": {}, "timm.models": {}, "timm.models.layers": vars(layers),
            "timm.models.registry": {"register_model": lambda function: function},
            "timm.models.vision_transformer": {"trunc_normal_": layers.trunc_normal_, "_load_weights": None}}


# Networks of PyPI's packages.


def _unetr(patch, _originals):
    from monai.networks.nets import UNETR

    return UNETR(in_channels=1, out_channels=CLASSES, img_size=patch)


def _swin_unetr(_patch, _originals):
    from monai.networks.nets import SwinUNETR

    return SwinUNETR(in_channels=1, out_channels=CLASSES, feature_size=24)


def unet_arguments():
    import torch

    return dict(input_channels=1, n_stages=4, features_per_stage=FEATURES, conv_op=torch.nn.Conv3d,
                kernel_sizes=[[3, 3, 3]] * 4, strides=STRIDES, num_classes=CLASSES, conv_bias=True,
                norm_op=torch.nn.InstanceNorm3d, norm_op_kwargs={"eps": 1e-5, "affine": True}, nonlin=torch.nn.LeakyReLU,
                nonlin_kwargs={"inplace": True}, deep_supervision=True)


def _nnunet_plain(_patch, _originals):
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    return PlainConvUNet(n_conv_per_stage=2, n_conv_per_stage_decoder=2, **unet_arguments())


def _nnunet_plain_2d(_patch, _originals):
    import torch
    from dynamic_network_architectures.architectures.unet import PlainConvUNet

    flat = dict(conv_op=torch.nn.Conv2d, norm_op=torch.nn.InstanceNorm2d, kernel_sizes=[[3, 3]] * 4,
                strides=[stride[1:] for stride in STRIDES])
    return PlainConvUNet(n_conv_per_stage=2, n_conv_per_stage_decoder=2, **{**unet_arguments(), **flat})


def _nnunet_resenc(_patch, _originals):
    from dynamic_network_architectures.architectures.unet import ResidualEncoderUNet

    return ResidualEncoderUNet(n_blocks_per_stage=[1, 3, 4, 6], n_conv_per_stage_decoder=1, **unet_arguments())


# Networks of cloned repositories.


def _cotr(patch, originals):
    import torch

    root = originals / "CoTr/CoTr_package/CoTr"
    folders = {"CoTr": root, "CoTr.network_architecture": root / "network_architecture"}
    base = {"CoTr.network_architecture.neural_network": {"SegmentationNetwork": torch.nn.Module}}
    with originals_modules(folders, base):
        network = importlib.import_module("CoTr.network_architecture.ResTranUnet").ResTranUnet
        return network(norm_cfg="IN", activation_cfg="LeakyReLU", img_size=patch, num_classes=CLASSES,
                       deep_supervision=True)


def _nnformer(form, **arguments):
    def make(patch, originals):
        import torch

        root = originals / "nnFormer/nnformer"
        folders = {name: root / name.partition(".")[2].replace(".", "/")
                   for name in ("nnformer", "nnformer.network_architecture", "nnformer.utilities")}
        base = {"nnformer.network_architecture.neural_network": {"SegmentationNetwork": torch.nn.Module}, **timm_modules()}
        with originals_modules(folders, base):
            network = importlib.import_module(f"nnformer.network_architecture.nnFormer_{form}").nnFormer
            return network(crop_size=list(patch), num_classes=CLASSES, **arguments)

    return make


def _mednext(kernel_size):
    def make(_patch, originals):
        root = originals / "MedNeXt/nnunet_mednext"
        folders = {"nnunet_mednext": root, "nnunet_mednext.network_architecture": root / "network_architecture"}
        with originals_modules(folders, {}):
            presets = importlib.import_module("nnunet_mednext.network_architecture.mednextv1.create_mednext_v1")
            return presets.create_mednextv1_base(1, CLASSES, kernel_size, ds=True)

    return make


def _transbts(patch, originals):
    """Its preset with the image's size as an argument; the table of positions, of 4096 rows for 128 cubed whatever that
    size, gets a row a token."""
    import torch

    with originals_modules({"models": originals / "TransBTS/models"}, {}):
        preset = importlib.import_module("models.TransBTS.TransBTS_downsample8x_skipconnection").BTS
        network = preset(img_dim=patch[0], patch_dim=8, num_channels=4, num_classes=4, embedding_dim=512, num_heads=8,
                         num_layers=4, hidden_dim=4096, dropout_rate=0.1, attn_dropout_rate=0.1)
    tokens = (patch[0] // 8) ** 3
    network.position_encoding.position_embeddings = torch.nn.Parameter(torch.zeros(1, tokens, 512))
    return network


def _segformer3d(_patch, originals):
    file = originals / "Mamba3D-MedSeg/nnunetv2/nets/segformer3d.py"
    return load_file("segformer3d", file).SegFormer3D(in_channels=1, num_classes=CLASSES)


def _segformer3d_sdpa(_patch, originals):
    file = originals / "SegFormer3D/architectures/segformer3d.py"
    return load_file("segformer3d_sdpa", file).SegFormer3D(in_channels=1, num_classes=CLASSES)


def _transunet(patch, originals):
    with originals_modules({"networks": originals / "TransUNet/networks"}, {}):
        modeling = importlib.import_module("networks.vit_seg_modeling")
        config = modeling.CONFIGS["R50-ViT-B_16"]
        config.n_classes, config.patches.grid = CLASSES, (patch[1] // 16, patch[2] // 16)
        return modeling.VisionTransformer(config, img_size=patch[1], num_classes=CLASSES)


def _swin_unet(_patch, originals):
    file = originals / "Swin-Unet/networks/swin_transformer_unet_skip_expand_decoder_sys.py"
    with originals_modules({}, timm_modules()):
        return load_file("swin_unet", file).SwinTransformerSys(img_size=224, num_classes=CLASSES, drop_path_rate=0.2)


def _missformer(_patch, originals):
    with originals_modules({"networks": originals / "MISSFormer/networks"}, {}):
        return importlib.import_module("networks.MISSFormer").MISSFormer(num_classes=CLASSES)


def _levit_unet(_patch, originals):
    unused = {name: {} for name in ("utils", "matplotlib", "matplotlib.pyplot", "cv2", "ptflops")}
    unused["ptflops"]["get_model_complexity_info"] = None
    with originals_modules({}, {**timm_modules(), **unused}):
        return load_file("levit_unet", originals / "LeViT-UNet/LeViT-UNet-384.py").Build_LeViT_UNet_384(num_classes=CLASSES)


PEERS = {
    "unetr": Peer(_unetr, cloned=False),
    "swin_unetr": Peer(_swin_unetr, ("feature_size=24",), cloned=False),
    "nnunet_plain": Peer(_nnunet_plain, (*UNET,), cloned=False),
    "nnunet_plain_2d": Peer(_nnunet_plain_2d, (UNET[0], "strides=[[1,1],[2,2],[2,2],[2,2]]", UNET[2]), slices=True,
                            cloned=False),
    "nnunet_resenc": Peer(_nnunet_resenc, (*UNET,), cloned=False),
    "cotr": Peer(_cotr),
    "nnformer": Peer(_nnformer("synapse")),
    "nnformer_tumor": Peer(_nnformer("tumor", embedding_dim=96, num_heads=[3, 6, 12, 24], patch_size=[4, 4, 4]),
                           patch=(64, 64, 64)),
    "mednext_k3": Peer(_mednext(3), ("size=B",)),
    "mednext_k5": Peer(_mednext(5), ("size=B",)),
    "transbts": Peer(_transbts, ("output=probabilities",), patch=(64, 64, 64), channels=4, classes=4),
    "segformer3d": Peer(_segformer3d, patch=(64, 64, 64)),
    "segformer3d_sdpa": Peer(_segformer3d_sdpa, patch=(64, 64, 64)),
    "transunet": Peer(_transunet, patch=(2, 224, 224), slices=True),
    "swin_unet": Peer(_swin_unet, patch=(2, 224, 224), channels=3, slices=True),
    "missformer": Peer(_missformer, patch=(2, 224, 224), slices=True),
    "levit_unet_384": Peer(_levit_unet, patch=(2, 224, 224), slices=True),
}
