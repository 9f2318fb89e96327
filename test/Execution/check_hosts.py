"""Compiles two models and runs them by Inputs/host.c: loaded and unloaded a
thousand times (and under valgrind, where there is one, --valgrind-times=N), both at once from two
threads with the results that each has alone, and on inputs that mean nothing,
between guard pages.

Usage: check_hosts.py ITERA_COMPILE CC MODEL.onnx [--valgrind-times=N]

The other model is a few lookups at indices that the host chooses.
"""

import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from onnx import TensorProto, helper, numpy_helper

source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs", "host.c")
include = os.path.join(os.path.dirname(source), "..", "..", "..", "runtime", "include")


def lookups():
    def info(name, *shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT if name in "xy" else TensorProto.INT64, shape)

    table = numpy_helper.from_array(np.arange(36, dtype=np.float32).reshape(9, 4), "table")
    one = numpy_helper.from_array(np.array([1], np.int64), "one")
    nodes = [helper.make_node("Gather", ["table", "i"], ["a"]),
             helper.make_node("GatherElements", ["a", "j"], ["b"], axis=1),
             helper.make_node("ScatterElements", ["a", "j", "b"], ["c"], axis=1, reduction="add"),
             helper.make_node("Cast", ["x"], ["k"], to=TensorProto.INT64),
             helper.make_node("Unsqueeze", ["k", "one"], ["l"]),
             helper.make_node("ScatterND", ["c", "l", "table"], ["d"]),
             helper.make_node("GatherND", ["d", "l"], ["y"]), helper.make_node("Div", ["i", "m"], ["q"])]
    graph = helper.make_graph(nodes, "lookups", [info("i", 6), info("j", 6, 3), info("x", 9), info("m", 6)],
                              [info("y", 9, 4), info("q", 6)], [table, one])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    made.ir_version = 10
    return made


def main():
    compiler, cc, model, *rest = sys.argv[1:]
    times = next((a.split("=")[1] for a in rest if a.startswith("--valgrind-times=")), "20")
    with tempfile.TemporaryDirectory() as folder:

        def at(name):
            return os.path.join(folder, name)

        def run(*command):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

        run(cc, "-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{include}", source, "-ldl", "-lpthread", "-o",
            at("host"))
        with open(at("lookups.onnx"), "wb") as file:
            file.write(lookups().SerializeToString())
        libraries = []
        for i, model in enumerate([model, at("lookups.onnx")]):
            libraries.append(at(f"{i}.so"))
            run(compiler, model, "-o", libraries[-1], "--cache-dir=")
        run(at("host"), "reload", libraries[0], "1000")
        print("loaded 1000 times")
        run(at("host"), "threads", libraries[0], libraries[1], "20")
        print("the same results in two threads")
        for library in libraries:
            run(at("host"), "wild", library, "30")
        print("wild inputs do no harm")
        if valgrind := shutil.which("valgrind"):
            run(valgrind, "-q", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=all",
                "--errors-for-leak-kinds=definite,indirect,possible", at("host"), "reload", libraries[1], times)
            print(f"no leak in {times} loads")


main()
