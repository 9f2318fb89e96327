// SPDX-License-Identifier: Apache-2.0
// The worker's side of compileKernels().

#include "WorkerProtocol.h"

using namespace itera;
using namespace itera::halide;

int itera::halideWorkerMain() {
  constexpr int socket = 0;
  std::optional<std::string> hello = receiveFrame(socket);
  std::optional<TargetSpec> target =
      hello ? decodeTarget(*hello) : std::nullopt;
  if (!target)
    return 2;
  while (std::optional<std::string> bytes = receiveFrame(socket)) {
    std::optional<KernelRequest> request = decodeRequest(*bytes);
    if (!request)
      return 2;
    if (!sendFrame(socket,
                   encodeReply(compileKernelInProcess(*request, *target))))
      return 2;
  }
  return 0;
}
