"""The network of registration.cpp in PyTorch: scripts/make-record writes record.json from it."""
from torch import nn


class TwoConvolutions(nn.Module):
    def __init__(self, in_channels, num_classes, width=16):
        super().__init__()
        self.features = nn.ModuleDict({"conv": nn.Conv3d(in_channels, width, 3, padding=1, bias=False),
                                       "norm": nn.InstanceNorm3d(width, affine=True)})
        self.head = nn.Conv3d(width, num_classes, 1)

    def forward(self, image):
        features = self.features["norm"](self.features["conv"](image))
        return self.head(nn.functional.leaky_relu(features, 0.01))
