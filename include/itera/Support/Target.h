// SPDX-License-Identifier: Apache-2.0
// What machine an artefact is for.

#ifndef ITERA_SUPPORT_TARGET_H
#define ITERA_SUPPORT_TARGET_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace itera {

/// A target in LLVM's terms. Two specs with equal members produce equal code.
struct TargetSpec {
  /// "x86_64" or "aarch64".
  std::string arch;
  /// The LLVM triple, for example "aarch64-unknown-linux-gnu".
  std::string triple;
  /// The LLVM CPU name, for example "x86-64-v3" or "cortex-a72".
  std::string cpu;
  /// Every enabled instruction-set feature by its LLVM name without a sign,
  /// sorted, for example "avx2", "fma", "dotprod".
  std::vector<std::string> features;

  bool hasFeature(llvm::StringRef name) const;
  /// The features as LLVM takes them: "+avx,+avx2,...".
  std::string featureString() const;
};

/// Resolves `--target=` and `--mcpu=`. `target` is empty (this host's
/// architecture), an architecture, a board alias (rpi3, rpi4, rpi5) or a
/// triple. `cpu` is empty (x86_64: x86-64-v3; aarch64: generic, or the board's
/// CPU), "native", or an LLVM CPU name. Fails on an unknown one, and lists the
/// known ones.
llvm::Expected<TargetSpec> resolveTarget(llvm::StringRef target,
                                         llvm::StringRef cpu);

} // namespace itera

#endif // ITERA_SUPPORT_TARGET_H
