"""torchvision's compiled part is made for CUDA and does not load here; its Python part wants two of its operators to be
known, and nobody calls them. They are declared just before torchvision is imported."""

import importlib.abc
import sys

NMS = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


class Declare(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            for operator in ("nms", "qnms"):
                torch.library.define(f"torchvision::{operator}", NMS)


sys.meta_path.insert(0, Declare())
