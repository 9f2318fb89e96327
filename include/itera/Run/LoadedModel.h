// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_RUN_LOADEDMODEL_H
#define ITERA_RUN_LOADEDMODEL_H

#include "itera/abi.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <vector>

namespace itera {

/// The arguments of a run, made once so that nothing but the model is timed.
/// Refers to the buffers, which are in the order of the model's tensors.
struct ModelCall {
  ModelCall(llvm::ArrayRef<std::vector<char>> inputBuffers,
            llvm::MutableArrayRef<std::vector<char>> outputBuffers);

  std::vector<const void *> inputs;
  std::vector<size_t> inputBytes;
  std::vector<void *> outputs;
  std::vector<size_t> outputBytes;
};

/// A shared object that was loaded with dlopen, and one session of its model.
class LoadedModel {
public:
  static llvm::Expected<LoadedModel> load(llvm::StringRef path);
  LoadedModel(LoadedModel &&other);
  ~LoadedModel();

  std::vector<const itera_tensor_info *> getInputs() const;
  std::vector<const itera_tensor_info *> getOutputs() const;
  llvm::StringRef getName() const { return api->name(); }
  uint64_t getScratchBytes() const { return api->scratch_bytes(); }

  /// Runs the model once.
  llvm::Error forward(const ModelCall &call) const;

  /// Whether the table has the functions for streams.
  bool canStream() const;
  const itera_model_api &getApi() const { return *api; }
  itera_session *getSession() const { return session; }

private:
  LoadedModel() = default;
  void *library = nullptr;
  const itera_model_api *api = nullptr;
  itera_model *model = nullptr;
  itera_session *session = nullptr;
};

} // namespace itera

#endif // ITERA_RUN_LOADEDMODEL_H
