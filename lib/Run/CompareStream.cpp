// SPDX-License-Identifier: Apache-2.0

#include "itera/Run/CompareStream.h"
#include "itera/Run/StreamRun.h"
#include "itera/Run/Tensors.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include <cmath>

using namespace llvm;
using namespace itera;

namespace {

/// How an output differs.
struct Deviation {
  size_t count = 0; // elements
  size_t first = 0; // the first one of them
  double maxAbs = 0;
};

} // namespace

static Deviation findDeviation(const NpyArray &stream, const NpyArray &whole,
                               Tolerance tolerance) {
  Deviation deviation;
  unsigned size = getNpyTypeSize(whole.type);
  for (size_t i = 0, e = whole.data.size() / size; i < e; ++i) {
    if (!memcmp(&stream.data[i * size], &whole.data[i * size], size))
      continue;
    long double s = getElement(stream, i), w = getElement(whole, i);
    double difference = s == w ? 0 : double(std::abs(s - w));
    double allowed = tolerance.atol + tolerance.rtol * double(std::abs(w));
    // Written so that a NaN differs.
    if (allowed > 0 && difference <= allowed && !std::isinf(w))
      continue;
    if (!deviation.count++)
      deviation.first = i;
    if (!(difference <= deviation.maxAbs))
      deviation.maxAbs = difference;
  }
  return deviation;
}

/// "[0, 17, 3]" of the element number `flat`.
static std::string formatIndex(ArrayRef<int64_t> shape, size_t flat) {
  SmallVector<std::string> index(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    index[i] = std::to_string(flat % shape[i]);
    flat /= shape[i];
  }
  return "[" + join(index, ", ") + "]";
}

/// A number with all its digits.
static std::string formatNumber(long double value) {
  std::string text;
  raw_string_ostream(text) << format("%.9g", double(value));
  return text;
}

static std::string describe(const itera_tensor_info &info) {
  bool tap = info.node && *info.node;
  return tap ? "node '" + std::string(info.node) + "' (output '" + info.name +
                   "')"
             : "output '" + std::string(info.name) + "'";
}

static void report(const itera_tensor_info &info, const Deviation &deviation,
                   const NpyArray &stream, const NpyArray &whole,
                   raw_ostream &out) {
  size_t total = whole.data.size() / getNpyTypeSize(whole.type);
  out << "first difference: " << describe(info) << ": " << deviation.count
      << " of " << total << " elements, by up to "
      << formatNumber(deviation.maxAbs) << '\n'
      << "  at " << formatIndex(whole.shape, deviation.first) << ": stream "
      << formatNumber(getElement(stream, deviation.first)) << ", whole "
      << formatNumber(getElement(whole, deviation.first)) << '\n';
}

static Expected<std::vector<std::vector<char>>>
runWhole(const LoadedModel &model, ArrayRef<std::vector<char>> inputs,
         ArrayRef<ResizedInfo> infos) {
  std::vector<std::vector<char>> outputs;
  for (const ResizedInfo &info : infos)
    outputs.emplace_back(info.get().bytes);
  ModelCall call(inputs, outputs);
  if (Error error = model.forward(call))
    return std::move(error);
  return outputs;
}

static Expected<std::vector<std::vector<char>>>
runStream(const LoadedModel &model, ArrayRef<std::vector<char>> inputs,
          uint64_t length, uint64_t chunk) {
  StreamRun stream(model, inputs, length, chunk);
  if (Error error = stream.begin())
    return std::move(error);
  if (Error error = stream.feed())
    return std::move(error);
  if (Error error = stream.finish())
    return std::move(error);
  return stream.takeOutputs();
}

Expected<bool> itera::compareStream(const LoadedModel &model,
                                    ArrayRef<std::vector<char>> inputs,
                                    uint64_t length, uint64_t chunk,
                                    Tolerance tolerance, raw_ostream &out) {
  std::vector<const itera_tensor_info *> outputs = model.getOutputs();
  std::vector<ResizedInfo> infos;
  for (auto [index, info] : enumerate(outputs))
    infos.emplace_back(*info, model.getApi().frames_total(length, index));
  Expected<std::vector<std::vector<char>>> whole =
      runWhole(model, inputs, infos);
  if (!whole)
    return whole.takeError();
  Expected<std::vector<std::vector<char>>> stream =
      runStream(model, inputs, length, chunk);
  if (!stream)
    return stream.takeError();

  // The nodes first: of the outputs they are the cause.
  std::vector<size_t> order, differing;
  for (bool taps : {true, false})
    for (auto [i, info] : enumerate(outputs))
      if ((info->node && *info->node) == taps)
        order.push_back(i);
  size_t nodes = count_if(outputs, [](const itera_tensor_info *info) {
    return info->node && *info->node;
  });
  for (size_t i : order) {
    Expected<NpyArray> a = toArray(infos[i].get(), std::move((*stream)[i]));
    if (!a)
      return a.takeError();
    Expected<NpyArray> b = toArray(infos[i].get(), std::move((*whole)[i]));
    if (!b)
      return b.takeError();
    Deviation deviation = findDeviation(*a, *b, tolerance);
    if (!deviation.count)
      continue;
    if (differing.empty())
      report(*outputs[i], deviation, *a, *b, out);
    differing.push_back(i);
  }
  out << differing.size() << " of " << outputs.size()
      << " outputs differ over " << length << " frames (" << nodes
      << " are nodes)\n";
  if (!differing.empty() && !nodes)
    out << "itera-compile --taps=all makes the nodes before it comparable\n";
  return differing.empty();
}
