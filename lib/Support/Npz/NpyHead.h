// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_SUPPORT_NPZ_NPYHEAD_H
#define ITERA_LIB_SUPPORT_NPZ_NPYHEAD_H

#include "itera/Support/Npz.h"

namespace itera {

/// The head of a .npy file: everything before the data.
struct NpyHead {
  NpyType type;
  std::vector<int64_t> shape;
  uint64_t dataOffset;
  uint64_t dataBytes;
  bool fortranOrder;
};

/// An array of the data that follows a head, brought into C order.
NpyArray makeArray(NpyHead head, std::vector<char> data);

/// The longest head that is accepted; NumPy writes about a hundred bytes.
constexpr uint64_t maxNpyHeadBytes = 1 << 16;
/// The largest array that is accepted.
constexpr uint64_t maxNpyDataBytes = uint64_t(1) << 33;

/// Parses the head out of the first bytes of a file that is `fileBytes` long,
/// and checks that the two agree.
llvm::Expected<NpyHead> parseNpyHead(llvm::StringRef start, uint64_t fileBytes,
                                     llvm::StringRef name);

} // namespace itera

#endif // ITERA_LIB_SUPPORT_NPZ_NPYHEAD_H
