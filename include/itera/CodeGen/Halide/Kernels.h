// SPDX-License-Identifier: Apache-2.0
// Kernels compiled by Halide: MLIR text in, an object file out.

#ifndef ITERA_CODEGEN_HALIDE_KERNELS_H
#define ITERA_CODEGEN_HALIDE_KERNELS_H

#include "itera/Support/Target.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <string>
#include <vector>

namespace itera {

/// One kernel to compile: a function on static tensors, arguments and results
/// dense and row-major.
struct KernelRequest {
  /// The symbol that the object will define.
  std::string symbol;
  /// MLIR text of a module that holds the function alone, under any name.
  std::string text;
};

/// One `halide_buffer_t *` parameter of a compiled kernel. A tensor can stand
/// behind several parameters, each a view of a part of it.
struct KernelBuffer {
  struct Dim {
    int32_t min, extent, stride;
  };
  /// The tensor behind it: the function's arguments first, then its results.
  unsigned argument = 0;
  /// Where the view starts: `host` is the tensor's address plus this.
  int64_t byteOffset = 0;
  /// halide_type_t: 0 signed, 1 unsigned integer, 2 float, 3 bfloat.
  uint8_t typeCode = 0, bits = 0;
  /// Innermost first. Strides count elements and can be zero.
  std::vector<Dim> dims;
};

/// The object defines `int symbol(halide_buffer_t *...)`, one parameter per
/// entry of `buffers`. It returns 0, needs no symbol but memset, memcpy and
/// memmove, and allocates nothing. No result may overlap an argument or
/// another result, with one exception: the last state of a recurrence may be
/// the very tensor of its initial state.
struct CompiledKernel {
  std::vector<char> object;
  std::vector<KernelBuffer> buffers;
};

struct KernelOptions {
  TargetSpec target;
  /// At most this many worker processes at a time.
  unsigned jobs = 1;
  /// Where compiled kernels are kept between runs; empty: nowhere.
  std::string cacheDir;
  /// The program that calls halideWorkerMain() when its first argument is
  /// kHalideWorkerFlag.
  std::string workerProgram;
};

/// The hidden command-line argument that makes a program a worker.
inline constexpr const char *kHalideWorkerFlag = "--halide-worker";

/// Compiles every request, in worker processes because Halide's own LLVM
/// aborts on its bugs: a worker that dies fails only the kernel that it was
/// at. The results are in the order of the requests.
std::vector<llvm::Expected<CompiledKernel>>
compileKernels(llvm::ArrayRef<KernelRequest> requests,
               const KernelOptions &options);

/// Compiles one kernel in this process.
llvm::Expected<CompiledKernel>
compileKernelInProcess(const KernelRequest &request, const TargetSpec &target);

/// The worker's side of compileKernels(): serves requests until its input
/// ends. Returns the exit code.
int halideWorkerMain();

/// The target as Halide spells it.
std::string halideTargetString(const TargetSpec &target);

/// How many rows a block of a packed weight of ssm.linear should have for this
/// target, best first.
std::vector<int64_t> packedRowHeights(const TargetSpec &target);

} // namespace itera

#endif // ITERA_CODEGEN_HALIDE_KERNELS_H
