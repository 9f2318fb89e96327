// SPDX-License-Identifier: Apache-2.0
// A kernel worker that dies at the kernel `crash`, as a failed assertion in
// Halide's LLVM would make it.

#include "WorkerProtocol.h"
#include <cstdio>
#include <cstdlib>

using namespace itera;
using namespace itera::halide;

int main() {
  auto target = decodeTarget(receiveFrame(0).value_or(""));
  if (!target)
    return 2;
  while (auto bytes = receiveFrame(0)) {
    auto request = decodeRequest(*bytes);
    if (!request)
      return 2;
    if (request->symbol == "crash") {
      std::fputs("Assertion `the test wants it' failed.\n", stderr);
      std::abort();
    }
    if (!sendFrame(0, encodeReply(compileKernelInProcess(*request, *target))))
      return 2;
  }
  return 0;
}
