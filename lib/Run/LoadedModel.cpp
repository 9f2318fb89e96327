// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/LoadedModel.h"
#include "llvm/BinaryFormat/ELF.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include <dlfcn.h>
#include <string>
#include <utility>

using namespace llvm;
using namespace itera;

static Error failure(const Twine &text) {
  return createStringError(inconvertibleErrorCode(), text);
}

/// A host that keeps the last line of the model's log: the reason when a model
/// refuses to be created.
static itera_host makeHost(std::string &log) {
  itera_host host = {};
  host.struct_size = sizeof(host);
  host.ctx = &log;
  host.log = [](void *ctx, int32_t, const char *message) {
    *static_cast<std::string *>(ctx) = message;
  };
  return host;
}

static std::string describe(itera_status status, const std::string &log) {
  return log.empty() ? "error " + std::to_string(status) : log;
}

/// dlopen says "no such file" about a file for another machine: look first.
static Error checkMachine(StringRef path) {
#ifdef __aarch64__
  constexpr unsigned host = ELF::EM_AARCH64;
#else
  constexpr unsigned host = ELF::EM_X86_64;
#endif
  constexpr unsigned machineOffset = 18; // of e_machine
  auto head = MemoryBuffer::getFileSlice(path, machineOffset + 2, 0);
  if (!head || !(*head)->getBuffer().starts_with(ELF::ElfMagic))
    return failure("'" + path + "' is not a shared object");
  unsigned machine =
      support::endian::read16le((*head)->getBufferStart() + machineOffset);
  if (machine != host)
    return failure(
        "'" + path + "' is for " + ELF::convertEMachineToArchName(machine) +
        ", but this machine is " + ELF::convertEMachineToArchName(host));
  return Error::success();
}

Expected<LoadedModel> LoadedModel::load(StringRef path) {
  // dlopen searches the system's folders for a name without a slash.
  std::string file = path.contains('/') ? path.str() : "./" + path.str();
  if (!sys::fs::is_regular_file(file))
    return failure("cannot load '" + path + "': " +
                   (sys::fs::exists(file) ? "not a file" : "no such file"));
  if (Error error = checkMachine(path))
    return std::move(error);
  LoadedModel loaded;
  loaded.library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!loaded.library)
    return failure("cannot load '" + path + "': " + dlerror());
  auto query = reinterpret_cast<itera_model_query_fn>(
      dlsym(loaded.library, ITERA_MODEL_QUERY_SYMBOL));
  if (!query)
    return failure("'" + path + "' is not a compiled model: no symbol " +
                   ITERA_MODEL_QUERY_SYMBOL);

  std::string log;
  itera_host host = makeHost(log);
  loaded.api = query(ITERA_ABI_VERSION, &host);
  if (!loaded.api)
    return failure("'" + path + "' refuses to run: " +
                   (log.empty() ? "no reason given" : log));
  if (!ITERA_HAS(loaded.api, itera_model_api, forward))
    return failure("'" + path + "' has an older interface than this program");
  // Without hooks: `log` dies here, the model lives on.
  itera_status status = loaded.api->model_create(nullptr, &loaded.model);
  if (status != ITERA_OK)
    return failure("cannot create the model: " + describe(status, log));
  status = loaded.api->session_create(loaded.model, &loaded.session);
  if (status == ITERA_ERROR_OUT_OF_MEMORY)
    return failure("no memory for a session with " +
                   Twine(loaded.getScratchBytes()) + " bytes of scratch");
  if (status != ITERA_OK)
    return failure("cannot create a session: " + describe(status, log));
  return std::move(loaded);
}

LoadedModel::LoadedModel(LoadedModel &&other)
    : library(std::exchange(other.library, nullptr)), api(other.api),
      model(std::exchange(other.model, nullptr)),
      session(std::exchange(other.session, nullptr)) {}

LoadedModel::~LoadedModel() {
  if (session)
    api->session_destroy(session);
  if (model)
    api->model_destroy(model);
  if (library)
    dlclose(library);
}

std::vector<const itera_tensor_info *> LoadedModel::getInputs() const {
  std::vector<const itera_tensor_info *> infos;
  for (uint32_t i = 0; i < api->input_count(); ++i)
    infos.push_back(api->input_info(i));
  return infos;
}

std::vector<const itera_tensor_info *> LoadedModel::getOutputs() const {
  std::vector<const itera_tensor_info *> infos;
  for (uint32_t i = 0; i < api->output_count(); ++i)
    infos.push_back(api->output_info(i));
  return infos;
}

ModelCall::ModelCall(ArrayRef<std::vector<char>> inputBuffers,
                     MutableArrayRef<std::vector<char>> outputBuffers) {
  for (const std::vector<char> &buffer : inputBuffers) {
    inputs.push_back(buffer.data());
    inputBytes.push_back(buffer.size());
  }
  for (std::vector<char> &buffer : outputBuffers) {
    outputs.push_back(buffer.data());
    outputBytes.push_back(buffer.size());
  }
}

Error LoadedModel::forward(const ModelCall &call) const {
  if (api->forward(session, call.inputs.data(), call.inputBytes.data(),
                   call.inputs.size(), call.outputs.data(),
                   call.outputBytes.data(), call.outputs.size()) != ITERA_OK)
    return failure(api->last_error(session));
  return Error::success();
}

bool LoadedModel::canStream() const {
  return ITERA_HAS(api, itera_model_api, session_clone) && api->prefill;
}
