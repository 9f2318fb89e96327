"""lit configuration: every .mlir, .test and .py below test/ with a RUN line."""

import os
import shutil

import lit.formats

config.name = "Itera"
config.test_format = lit.formats.ShTest(execute_external=False)
config.suffixes = [".mlir", ".test"]
config.excludes = ["Inputs", "CMakeLists.txt"]
config.test_source_root = os.path.dirname(__file__)
config.test_exec_root = os.path.join(config.itera_obj_root, "test")

config.environment["PATH"] = os.pathsep.join(
    [
        os.path.join(config.itera_obj_root, "bin"),
        config.llvm_tools_dir,
        config.environment.get("PATH", os.environ["PATH"]),
    ]
)
# Captures made under one label must not leak into the next.
config.environment["FILECHECK_OPTS"] = "-enable-var-scope"
config.substitutions.append(("%python", config.python))
config.substitutions.append(("%src", config.itera_src_root))
config.substitutions.append(("%examples", os.path.join(config.itera_src_root, "examples")))

# Models that may not be part of the project live beside the checkout.
shared = os.path.join(config.itera_src_root, "..", "shared", "models")
if os.path.isdir(shared):
    config.available_features.add("shared-models")
    config.substitutions.append(("%shared-models", shared))

# A C library for aarch64, as Debian's libc6-dev-arm64-cross installs it, and an
# emulator.
root = "/usr/aarch64-linux-gnu"
if os.path.exists(os.path.join(root, "lib", "crt1.o")):
    config.available_features.add("aarch64-libc")
    config.substitutions.append(("%aarch64-root", root))
if shutil.which("qemu-aarch64-static"):
    config.available_features.add("qemu-aarch64")
