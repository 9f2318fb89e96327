// SPDX-License-Identifier: Apache-2.0
// The model as the runtime needs to know it: see program.h.

#ifndef ITERA_CODEGEN_LLVM_PROGRAMINFO_H
#define ITERA_CODEGEN_LLVM_PROGRAMINFO_H

#include "mlir/IR/BuiltinOps.h"
#include <array>
#include <optional>
#include <string>
#include <vector>

namespace itera {

/// One input, output or state of the model, as its users see it.
struct InterfaceTensor {
  std::string name;
  /// An itera_dtype of abi.h.
  uint32_t dtype = 0;
  std::vector<int64_t> dims;
  uint64_t bytes = 0;
  /// An ITERA_ROLE_* of abi.h.
  uint32_t role = 0;
  int64_t timeDim = -1, batchDim = -1;
  uint64_t frames = 0, period = 1;
  int64_t latency = 0;
  std::string node;
};

/// What the argument at a position of a planned function is.
struct ArgumentRole {
  enum Kind {
    input,
    output,
    weights,
    scratch,
    constant,
    state,
    nextState,
    clock
  } kind;
  unsigned index = 0; // of the input, output, constant or state
};

/// A planned function that the runtime calls.
struct EntryInfo {
  std::string function;
  std::vector<ArgumentRole> arguments;
};

/// {add, divide, multiply}: n -> max(0, floor((n + add) / divide)) * multiply.
using CountSteps = std::vector<std::array<int64_t, 3>>;

struct StreamInfo {
  struct Chunk {
    uint64_t frames;
    EntryInfo entry;
  };
  std::vector<Chunk> chunks; // frames falling, the last 1
  uint64_t warmup = 0, alignment = 1, maxFrames = UINT64_MAX, flushFrames = 0;
  std::optional<EntryInfo> begin, reset, flush, final, rollback;
  uint64_t rollbackWindow = 0;
  std::vector<uint64_t> constantOffsets;
  uint64_t constantBytes = 0;
  std::vector<InterfaceTensor> states;
  std::vector<uint64_t> stateOffsets;
  /// Of each state the number of its base, or UINT32_MAX.
  std::vector<uint32_t> stateBases;
  /// Of each state the ITERA_STATE_* flags of program.h.
  std::vector<uint32_t> stateFlags;
  uint64_t stateBytes = 0;
  std::array<uint64_t, 2> stateHash = {};
  /// Per output: frames after so many inputs, and frames of a whole stream.
  std::vector<CountSteps> counts, totals;
};

struct ProgramInfo {
  std::string name, compilerVersion, flags, sourceHash;
  std::vector<InterfaceTensor> inputs, outputs;
  uint64_t weightBytes = 0, scratchBytes = 0;
  /// ITERA_CPU_* bits of program.h.
  uint64_t requiredCpuFeatures = 0;
  EntryInfo forward;
  std::optional<StreamInfo> stream;
  /// Why there is none.
  std::string streamProblem;
};

/// Reads the interface and the layout of the planned functions. Fails with a
/// diagnostic if the module is not one that stage `plan` leaves.
mlir::FailureOr<ProgramInfo> readProgramInfo(mlir::ModuleOp planned);

} // namespace itera

#endif // ITERA_CODEGEN_LLVM_PROGRAMINFO_H
