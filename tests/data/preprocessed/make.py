"""Writes the cases beside this script with nnU-Net's own code: python make.py (needs nnunetv2 2.8.1)."""
import os

import numpy as np
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2, comp_blosc2_params


def voxels(shape):
    """Voxel (c, z, y, x) holds 1000 c + 100 z + 10 y + x."""
    c, z, y, x = np.meshgrid(*(np.arange(size) for size in shape), indexing="ij")
    return (1000 * c + 100 * z + 10 * y + x).astype(np.float32)


def write(name, label_type, order):
    shape, patch = (2, 5, 9, 7), (4, 4, 4)
    data = voxels(shape)
    labels = np.zeros((1, *shape[1:]), label_type)
    labels[0, 1:3, 2:5, 3:6] = 1
    labels[0, 4, 8, 6] = 2
    labels[0, 0, 0, 0] = -1
    locations = {(1, 2): np.argwhere(labels > 0), 2: np.argwhere(labels == 2), 3: []}
    if order:
        locations = {key: np.asarray(value, order=order) if len(value) else value for key, value in locations.items()}
    properties = {
        "sitk_stuff": {"spacing": (0.75, 0.5, 2.0), "origin": (-1.0, 2.5, 30.0),
                       "direction": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)},
        "spacing": list(np.abs([2.0, 0.5, 0.75])),
        "shape_before_cropping": (6, 11, 9),
        "bbox_used_for_cropping": [[0, 5], [np.int64(2), np.int64(11)], [1, 8]],
        "shape_after_cropping_and_before_resampling": (5, 9, 7),
        "class_locations": locations,
    }
    blocks, chunks = comp_blosc2_params(data.shape, patch, data.itemsize)
    blocks_of_labels, chunks_of_labels = comp_blosc2_params(labels.shape, patch, labels.itemsize)
    nnUNetDatasetBlosc2.save_case(data, labels, properties, os.path.join(os.path.dirname(__file__), name), chunks, blocks,
                                  chunks_of_labels, blocks_of_labels)


write("plain", np.int16, None)
write("bytes", np.int8, "F")
