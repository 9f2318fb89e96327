// SPDX-License-Identifier: Apache-2.0
//
// NumPy's array files: .npy (one array) and .npz (a zip archive of them).
//
// Files come from anywhere, so nothing in them is believed: shapes may
// overflow, sizes may lie, archives may be damaged. Every refusal is a one-line
// error that names the file and the array.

#ifndef ITERA_SUPPORT_NPZ_H
#define ITERA_SUPPORT_NPZ_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace itera {

/// The element types that are read and written, little-endian.
enum class NpyType {
  Bool,
  Int8,
  UInt8,
  Int16,
  UInt16,
  Int32,
  UInt32,
  Int64,
  UInt64,
  Float16,
  Float32,
  Float64
};

/// NumPy's name of the type, for example "float32".
llvm::StringRef getNpyTypeName(NpyType type);
/// Bytes of one element.
unsigned getNpyTypeSize(NpyType type);

/// An array in C order.
struct NpyArray {
  NpyType type = NpyType::Float32;
  std::vector<int64_t> shape;
  /// Exactly the product of the shape times the element size.
  std::vector<char> data;
};

/// "2x3", or "scalar" if there is no dimension.
std::string formatShape(llvm::ArrayRef<int64_t> shape);

/// Reads the content of a .npy file. `name` is for error messages.
llvm::Expected<NpyArray> parseNpy(llvm::StringRef bytes, llvm::StringRef name);

/// The content of a .npy file.
std::string formatNpy(const NpyArray &array);

/// An open .npz file. Arrays are read one at a time, when they are asked for,
/// so arrays of a kind that cannot be read do no harm.
class NpzReader {
public:
  static llvm::Expected<NpzReader> open(llvm::StringRef path);
  NpzReader(NpzReader &&);
  ~NpzReader();

  /// In the order of the file.
  llvm::ArrayRef<std::string> getNames() const;
  bool contains(llvm::StringRef name) const;
  llvm::Expected<NpyArray> read(llvm::StringRef name) const;

private:
  struct Archive;
  explicit NpzReader(std::unique_ptr<Archive> archive);
  std::unique_ptr<Archive> archive;
};

/// Writes an uncompressed .npz file, atomically. The same arrays give the same
/// bytes.
llvm::Error
writeNpz(llvm::StringRef path,
         llvm::ArrayRef<std::pair<std::string, const NpyArray *>> arrays);

} // namespace itera

#endif // ITERA_SUPPORT_NPZ_H
