// SPDX-License-Identifier: Apache-2.0

#include "Verify.h"

#include "itera/Run/Compare.h"
#include "itera/Run/LoadedModel.h"
#include "itera/Run/Tensors.h"
#include "llvm/Support/Format.h"

using namespace itera;
using namespace llvm;

using Buffers = std::vector<std::vector<char>>;

static constexpr unsigned kRuns = 3;

static Expected<Buffers> run(const LoadedModel &model, const Buffers &inputs) {
  Buffers outputs;
  for (const itera_tensor_info *info : model.getOutputs())
    outputs.emplace_back(info->bytes);
  if (Error error = model.forward(ModelCall(inputs, outputs)))
    return std::move(error);
  return outputs;
}

static double largestMagnitude(const NpyArray &array, size_t count) {
  double largest = 1;
  for (size_t i = 0; i < count; ++i)
    largest = std::max(largest, std::abs(double(getElement(array, i))));
  return largest;
}

Error itera::compareArtefacts(StringRef fastPath, StringRef plainPath,
                              double bound, raw_ostream &out) {
  Expected<LoadedModel> fast = LoadedModel::load(fastPath);
  if (!fast)
    return fast.takeError();
  Expected<LoadedModel> plain = LoadedModel::load(plainPath);
  if (!plain)
    return plain.takeError();

  std::vector<const itera_tensor_info *> infos = fast->getOutputs();
  std::vector<double> worst(infos.size(), 0), magnitude(infos.size(), 1);
  for (unsigned seed = 0; seed < kRuns; ++seed) {
    Buffers inputs;
    for (auto [index, info] : enumerate(fast->getInputs()))
      inputs.push_back(makeRandomBuffer(*info, seed * 1000 + index));
    Expected<Buffers> values = run(*fast, inputs);
    if (!values)
      return values.takeError();
    Expected<Buffers> references = run(*plain, inputs);
    if (!references)
      return references.takeError();
    for (size_t i = 0; i < infos.size(); ++i) {
      Expected<NpyArray> value = toArray(*infos[i], (*values)[i]);
      if (!value)
        return value.takeError();
      Expected<NpyArray> reference = toArray(*infos[i], (*references)[i]);
      if (!reference)
        return reference.takeError();
      double difference = compareArrays(*value, *reference, {}).maxAbs;
      size_t count = 1;
      for (uint32_t dim = 0; dim < infos[i]->rank; ++dim)
        count *= infos[i]->dims[dim];
      // Not std::max: a NaN must win.
      if (!(difference <= worst[i]))
        worst[i] = difference;
      magnitude[i] = std::max(magnitude[i], largestMagnitude(*reference, count));
    }
  }
  std::string bad;
  for (size_t i = 0; i < infos.size(); ++i) {
    out << "verify " << infos[i]->name << " max_abs_diff "
        << format("%.3g", worst[i]) << "\n";
    if (!(worst[i] <= bound * magnitude[i]))
      bad = infos[i]->name;
  }
  if (!bad.empty())
    return createStringError("output '%s' differs from the plain lowering",
                             bad.c_str());
  return Error::success();
}
