// SPDX-License-Identifier: Apache-2.0

#ifndef ITERA_UNITTESTS_RUNTIME_TESTMODEL_H
#define ITERA_UNITTESTS_RUNTIME_TESTMODEL_H

#include "itera/abi.h"
#include "gtest/gtest.h"
#include <dlfcn.h>
#include <string>

namespace itera {

/// A test model (test/Runtime/Inputs), loaded as long as the object lives.
class TestModel {
public:
  explicit TestModel(const char *name)
      : library(dlopen(
            (std::string(ITERA_TEST_MODELS) + name + ITERA_TEST_SUFFIX).c_str(),
            RTLD_NOW | RTLD_LOCAL)) {
    if (!library)
      ADD_FAILURE() << dlerror();
  }
  ~TestModel() {
    if (library)
      dlclose(library);
  }

  itera_model_query_fn getQuery(const char *symbol = "itera_model_query") {
    return reinterpret_cast<itera_model_query_fn>(dlsym(library, symbol));
  }
  const itera_model_api *getApi() {
    return getQuery()(ITERA_ABI_VERSION, nullptr);
  }

private:
  void *library;
};

/// The arguments of the model affine: y = x * (1 .. 6) + n, total = 6.
struct AffineCall {
  alignas(8) float x[6] = {0, 1, 2, 3, 4, 5};
  int64_t n = 10;
  alignas(8) float y[6] = {-1, -1, -1, -1, -1, -1};
  int64_t total = -1;

  const void *inputs[2] = {x, &n};
  size_t inputBytes[2] = {24, 8};
  void *outputs[3] = {y, &total, nullptr};
  size_t outputBytes[3] = {24, 8, 0};
  uint32_t inputCount = 2, outputCount = 3;

  itera_status run(const itera_model_api *api, itera_session *session) {
    return api->forward(session, inputs, inputBytes, inputCount, outputs,
                        outputBytes, outputCount);
  }
  bool isRight() const {
    for (int i = 0; i < 6; ++i)
      if (y[i] != x[i] * float(i + 1) + float(n))
        return false;
    return total == 6;
  }
  bool isUntouched() const {
    for (float value : y)
      if (value != -1)
        return false;
    return total == -1;
  }
};

} // namespace itera

#endif // ITERA_UNITTESTS_RUNTIME_TESTMODEL_H
