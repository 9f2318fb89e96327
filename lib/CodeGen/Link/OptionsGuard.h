// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_LIB_CODEGEN_LINK_OPTIONSGUARD_H
#define ITERA_LIB_CODEGEN_LINK_OPTIONSGUARD_H

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/CommandLine.h"
#include <utility>
#include <vector>

namespace itera {

/// Hides this program's command line options from lld.
///
/// lld parses its own -mllvm options through LLVM's global registry and first
/// resets every option in it. In a program that is not lld that would undo our
/// own command line in the middle of a run: an output path read from an option
/// turns into an empty string. While this object lives, the registry is empty.
class OptionsGuard {
public:
  OptionsGuard() {
    for (llvm::cl::SubCommand *command : llvm::cl::getRegisteredSubcommands()) {
      saved.emplace_back(command, llvm::cl::SubCommand());
      exchange(*command, saved.back().second);
    }
  }

  ~OptionsGuard() {
    for (auto &[command, options] : llvm::reverse(saved)) {
      exchange(*command, options);
      // Options that were registered meanwhile stay.
      for (auto &[name, option] : options.OptionsMap)
        command->OptionsMap.try_emplace(name, option);
    }
  }

private:
  static void exchange(llvm::cl::SubCommand &a, llvm::cl::SubCommand &b) {
    std::swap(a.PositionalOpts, b.PositionalOpts);
    std::swap(a.SinkOpts, b.SinkOpts);
    std::swap(a.OptionsMap, b.OptionsMap);
    std::swap(a.ConsumeAfterOpt, b.ConsumeAfterOpt);
  }

  std::vector<std::pair<llvm::cl::SubCommand *, llvm::cl::SubCommand>> saved;
};

} // namespace itera

#endif // ITERA_LIB_CODEGEN_LINK_OPTIONSGUARD_H
