"""Writes the files beside this script with nnU-Net's own resample_and_save: python make.py (needs nnunetv2 2.8.1)."""
import os

import numpy as np
from nnunetv2.inference.export_prediction import resample_and_save
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

CASES = {  # spacing of the first stage, its grid, the next stage's grid, labels
    "isotropic": ([2.0, 2.0, 2.0], (5, 6, 7), (9, 11, 13), {"background": 0, "a": 1, "b": 2}),
    "separate": ([8.0, 1.5, 1.5], (4, 8, 9), (7, 15, 16), {"background": 0, "a": 1, "b": 2, "c": 3}),
    "regions": ([2.0, 2.0, 2.0], (6, 5, 7), (8, 9, 10), {"background": 0, "whole": [1, 2, 4], "core": [2, 4], "rim": [4]}),
    "wide": ([2.0, 2.0, 2.0], (3, 4, 5), (4, 6, 5), {"background": 0} | {f"l{i}": i for i in range(1, 301)}),
}


def logits(channels, shape):
    """Multiples of 2^-20, from the voxel's index alone; the same in stage_labels() of the test."""
    index = np.arange(channels * int(np.prod(shape)), dtype=np.uint64)
    return ((((index + 1) * 2654435761) % 2**32) >> 8).astype(np.float32).reshape(channels, *shape) / 2**20


def write(name, spacing, shape, target, labels):
    function = "resample_data_or_seg_to_shape"
    configuration = {"spacing": spacing, "patch_size": [4, 4, 4], "resampling_fn_probabilities": function,
                     "architecture": {"arch_kwargs": {}, "network_class_name": "none", "_kw_requires_import": []},
                     "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0,
                                                            "force_separate_z": None}}
    plans = PlansManager({"configurations": {"3d_lowres": configuration}, "transpose_forward": [0, 1, 2],
                          "label_manager": "LabelManager", "plans_name": "nnUNetPlans"})
    dataset = {"labels": labels, "regions_class_order": [1, 2, 4]}
    channels = len(labels) - any(isinstance(label, list) for label in labels.values())
    values = logits(channels, shape) - (8 if channels < len(labels) else 0)
    properties = {"spacing": [1.0, 1.0, 1.0], "shape_after_cropping_and_before_resampling": target}
    resample_and_save(values, target, os.path.join(os.path.dirname(os.path.abspath(__file__)), name), plans,
                      plans.get_configuration("3d_lowres"), properties, dataset, 1)


if __name__ == "__main__":
    for name, case in CASES.items():
        write(name, *case)
