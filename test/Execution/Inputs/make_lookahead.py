"""Writes a model whose output y needs two frames ahead, and whose output f is known
at the end only, with one sample of 1,200 frames and one of 300.

Usage: make_lookahead.py MODEL.onnx DATA.npz
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(0)


def tensor(name, *shape):
    return numpy_helper.from_array(random.normal(size=shape).astype(np.float32) / 4, name)


def info(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


nodes = [
    helper.make_node("Conv", ["x", "taps"], ["c"], group=64, pads=[2, 2], kernel_shape=[5]),
    helper.make_node("Transpose", ["c"], ["t"], perm=[0, 2, 1]),
    helper.make_node("MatMul", ["t", "weight"], ["y"]),
    helper.make_node("ReduceMax", ["y", "time"], ["f"], keepdims=0),
]
weights = [tensor("taps", 64, 1, 5), tensor("weight", 64, 64), numpy_helper.from_array(np.array([1]), "time")]
graph = helper.make_graph(nodes, "lookahead", [info("x", 2, 64, 32)], [info("y", 2, 32, 64), info("f", 2, 64)], weights)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), sys.argv[1])
sample = random.normal(size=(2, 64, 1500)).astype(np.float32)
np.savez(sys.argv[2], **{"x": sample[..., :1200], "x@case1": sample[..., 1200:]})
