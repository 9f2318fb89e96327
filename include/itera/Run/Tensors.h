// SPDX-License-Identifier: Apache-2.0
//
// Between the arrays of a file and the buffers of a model.

#ifndef ITERA_RUN_TENSORS_H
#define ITERA_RUN_TENSORS_H

#include "itera/Support/Npz.h"
#include "itera/abi.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace itera {

/// "x" or, from the second case on, "x@case2".
std::string getCaseName(llvm::StringRef name, unsigned caseIndex);

/// The buffer for the input `info`, out of an array of the same shape. The type
/// may differ if every value of it has an equal one in the input's type.
llvm::Expected<std::vector<char>> toBuffer(const itera_tensor_info &info,
                                           NpyArray array);

/// How many frames an array has for the streamed input `info`; all dimensions
/// but time must be the input's.
llvm::Expected<uint64_t> getFrameCount(const itera_tensor_info &info,
                                       const NpyArray &array);

/// Bytes of one frame of a streamed tensor.
uint64_t getFrameBytes(const itera_tensor_info &info);

/// The description of a tensor that has `frames` frames if it is streamed.
class ResizedInfo {
public:
  ResizedInfo(const itera_tensor_info &original, uint64_t frames);
  ResizedInfo(ResizedInfo &&) = default;
  const itera_tensor_info &get() const { return info; }

private:
  std::vector<int64_t> dims; // info.dims points into it
  itera_tensor_info info;
};

/// Reproducible values that suit any model: reals in [-1, 1), and small
/// integers, as they may be indices.
std::vector<char> makeRandomBuffer(const itera_tensor_info &info,
                                   uint32_t seed);

/// The array for the output `info`. bfloat16, which NumPy lacks, becomes
/// float32.
llvm::Expected<NpyArray> toArray(const itera_tensor_info &info,
                                 std::vector<char> buffer);

/// Element `index` of an array, as a number that holds any type's values.
long double getElement(const NpyArray &array, size_t index);

} // namespace itera

#endif // ITERA_RUN_TENSORS_H
