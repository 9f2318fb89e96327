"""Compiles and runs small ONNX models at the corners of what models do, and
compares with numpy: values that are returned twice, states that swap, tensors
without elements, small floats, remainders, indices out of range.

Usage: check_corners.py ITERA_COMPILE ITERA_RUN [itera-compile flag...]
"""

import os
import subprocess
import sys
import tempfile

import ml_dtypes
import numpy as np
from onnx import TensorProto, helper, numpy_helper

F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
rng = np.random.default_rng(3)
CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


def info(name, shape, dtype=F):
    return helper.make_tensor_value_info(name, dtype, shape)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(","), outputs.split(","), **attributes)


def model(nodes, inputs, outputs, **constants):
    weights = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    made = helper.make_model(helper.make_graph(nodes, "corner", inputs, outputs, weights),
                             opset_imports=[helper.make_opsetid("", 21)])
    made.ir_version = 10
    return made


def normal(*shape):
    return rng.standard_normal(shape).astype(np.float32)


@case
def one_value_twice():
    x = normal(3, 4)
    made = model([node("Exp", "x", "y"), node("Exp", "x", "z"), node("Identity", "x", "w")], [info("x", [3, 4])],
                 [info(n, [3, 4]) for n in "yzw"])
    return made, dict(x=x), dict(y=np.exp(x), z=np.exp(x), w=x)


@case
def states_that_swap():
    body = helper.make_graph(
        [node("Identity", "b", "a1"), node("Add", "a,x", "s"), node("Identity", "a", "old")], "step",
        [info("a", [3]), info("b", [3]), info("c", [3]), info("x", [3])],
        [info("a1", [3]), info("a", [3]), info("s", [3]), info("old", [3]), info("c", [3])])
    made = model([node("Scan", "a0,b0,c0,xs", "a,b,c,olds,cs", body=body, num_scan_inputs=1)],
                 [info("a0", [3]), info("b0", [3]), info("c0", [3]), info("xs", [5, 3])],
                 [info("a", [3]), info("b", [3]), info("c", [3]), info("olds", [5, 3]), info("cs", [5, 3])])
    values = dict(a0=normal(3), b0=normal(3), c0=normal(3), xs=normal(5, 3))
    a, b, c, olds, cs = values["a0"], values["b0"], values["c0"], [], []
    for x in values["xs"]:
        olds.append(a)
        cs.append(c)
        a, b, c = b, a, a + x
    return made, values, dict(a=a, b=b, c=c, olds=olds, cs=cs)


@case
def loop_that_stacks_what_it_gathers():
    body = helper.make_graph(
        [node("Gather", "xs,i", "row", axis=0), node("Add", "s,row", "s1"), node("Identity", "go", "go1")], "body",
        [info("i", [], I), info("go", [], B), info("s", [4])], [info("go1", [], B), info("s1", [4]), info("row", [4])])
    made = model([node("Loop", "count,true,s0", "s,rows", body=body)], [info("xs", [6, 4])],
                 [info("s", [4]), info("rows", [6, 4])], count=np.int64(6), true=np.bool_(True), s0=np.zeros(4, np.float32))
    x = normal(6, 4)
    return made, dict(xs=x), dict(s=x.sum(0), rows=x)


@case
def reduction_to_a_scalar_in_a_scan():
    body = helper.make_graph([node("Add", "h,x", "n"), node("Hardmax", "n", "m"), node("ReduceLogSumExp", "n", "l")],
                             "step", [info("h", [4]), info("x", [4])], [info("n", [4]), info("m", [4]), info("l", [1])])
    made = model([node("Scan", "h0,xs", "last,ms,ls", body=body, num_scan_inputs=1)], [info("h0", [4]), info("xs", [6, 4])],
                 [info("last", [4]), info("ms", [6, 4]), info("ls", [6, 1])])
    h, x = normal(4), normal(6, 4)
    states = h + np.cumsum(x, 0)
    hardmax = np.eye(4)[states.argmax(1)]
    return made, dict(h0=h, xs=x), dict(last=states[-1], ms=hardmax, ls=np.log(np.exp(states).sum(1, keepdims=True)))


@case
def rows_traced_as_one():
    """`x[mask] = 2 * x[mask]`, exported with a mask of one row."""
    made = model([node("NonZero", "mask", "at"), node("Squeeze", "at,zero", "rows"), node("Gather", "x,rows", "taken"),
                  node("Mul", "taken,two", "twice"), node("Reshape", "twice,row", "one"), node("Shape", "rows", "count"),
                  node("Concat", "count,row", "shape", axis=0), node("Reshape", "one,shape", "updates"),
                  node("Transpose", "at", "tuples"), node("ScatterND", "x,tuples,updates", "y")],
                 [info("x", [3, 4]), info("mask", [3], B)], [info("y", [3, 4])], zero=np.array([0]), row=np.array([4]),
                 two=np.float32(2))
    x, mask = normal(3, 4), np.array([False, True, True])
    return made, dict(x=x, mask=mask), dict(y=np.where(mask[:, None], 2 * x, x))


@case
def nothing():
    made = model([node("Relu", "x", "y"), node("Concat", "x,w", "z", axis=1)], [info("x", [5, 0]), info("w", [5, 2])],
                 [info("y", [5, 0]), info("z", [5, 2])])
    w = normal(5, 2)
    return made, dict(x=np.zeros((5, 0), np.float32), w=w), dict(y=np.zeros((5, 0)), z=w)


@case
def small_floats():
    made = model([node("Cast", "x", "b", to=TensorProto.BFLOAT16), node("Mul", "b,b", "c"), node("Where", "p,c,b", "d"),
                  node("Cast", "d", "y", to=F), node("Cast", "w", "h", to=TensorProto.FLOAT16), node("Cast", "h", "z", to=F)],
                 [info("x", [64]), info("p", [64], B), info("w", [64], TensorProto.DOUBLE)], [info("y", [64]), info("z", [64])])
    x, w, p = normal(64), rng.standard_normal(64) * 1e-3, rng.random(64) < 0.5
    b = x.astype(ml_dtypes.bfloat16)
    return made, dict(x=x, w=w, p=p), dict(y=np.where(p, b * b, b).astype(np.float32), z=w.astype(np.float16))


@case
def remainders():
    made = model([node("Mod", "x,d", "y", fmod=1), node("Mod", "x,d", "z", fmod=1), node("Floor", "x", "f"),
                  node("Ceil", "x", "c"), node("Round", "x", "r")], [info("x", [64]), info("d", [64])],
                 [info(n, [64]) for n in "yzfcr"])
    x, d = normal(64) * 1000, normal(64)
    return made, dict(x=x, d=d), dict(y=np.fmod(x, d), z=np.fmod(x, d), f=np.floor(x), c=np.ceil(x), r=np.round(x))


def main():
    compiler, runner, *flags = sys.argv[1:]
    for name, make in CASES.items():
        made, values, expected = make()
        with tempfile.TemporaryDirectory() as folder:
            path, library, arrays = (os.path.join(folder, f) for f in ("m.onnx", "m.so", "m.npz"))
            with open(path, "wb") as file:
                file.write(made.SerializeToString())
            np.savez(arrays, **values, **{k + "@f64": np.asarray(v, np.float64) for k, v in expected.items()})
            subprocess.run([compiler, path, "-o", library, "--cache-dir=", *flags], check=True)
            subprocess.run([runner, library, "--input", arrays, "--compare", arrays, "--atol=1e-5", "--rtol=1e-5"],
                           check=True, stdout=subprocess.DEVNULL)
        print(f"{name}: passed")


main()
