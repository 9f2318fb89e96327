// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_TOOLS_ITERA_COMPILE_OPTIONS_H
#define ITERA_TOOLS_ITERA_COMPILE_OPTIONS_H

#include "itera/Pipelines/Compile.h"
#include "llvm/Support/Error.h"

namespace itera {

/// Parses the command line. Prints and exits for --help, --version and the
/// lists; fails with one line for what makes no sense.
llvm::Expected<CompileOptions> parseCommandLine(int argc, char **argv);

} // namespace itera

#endif // ITERA_TOOLS_ITERA_COMPILE_OPTIONS_H
