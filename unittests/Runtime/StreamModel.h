// SPDX-License-Identifier: Apache-2.0
//
// A stream of a test model (test/Runtime/Inputs), and naive loops that say what
// must come out of it.

#ifndef ITERA_UNITTESTS_RUNTIME_STREAMMODEL_H
#define ITERA_UNITTESTS_RUNTIME_STREAMMODEL_H

#include "TestModel.h"
#include <cstring>
#include <vector>

namespace itera {

using Bytes = std::vector<char>;

/// A tensor as dense bytes, [outer][frames][inner].
struct Frames {
  size_t outer = 1, inner = 1, frames = 0;
  Bytes bytes;

  /// For the tensor `info`; without time it is one frame.
  static Frames make(const itera_tensor_info &info) {
    Frames result;
    if (info.role != ITERA_ROLE_STREAM) {
      result.inner = info.bytes;
      return result;
    }
    for (int i = 0; i < info.time_dim; ++i)
      result.outer *= info.dims[i];
    result.inner = info.bytes / result.outer / info.dims[info.time_dim];
    return result;
  }
  Frames slice(size_t start, size_t count) const {
    Frames result{outer, inner, count, {}};
    for (size_t i = 0; i < outer; ++i) {
      const char *row = bytes.data() + (i * frames + start) * inner;
      result.bytes.insert(result.bytes.end(), row, row + count * inner);
    }
    return result;
  }
  void append(const Frames &other) {
    Bytes both;
    for (size_t i = 0; i < outer; ++i) {
      for (const Frames *part : {const_cast<const Frames *>(this), &other}) {
        const char *row = part->bytes.data() + i * part->frames * inner;
        both.insert(both.end(), row, row + part->frames * inner);
      }
    }
    bytes = std::move(both);
    frames += other.frames;
  }
  bool operator==(const Frames &other) const {
    return frames == other.frames && bytes == other.bytes;
  }
};

/// The buffers of a call's outputs, each followed by bytes that nobody may
/// write.
struct OutputBuffers {
  static constexpr size_t canary = 64;
  std::vector<Bytes> buffers;
  std::vector<void *> pointers;
  std::vector<size_t> bytes;

  void add(size_t size) {
    buffers.emplace_back(size + canary, char(0xa5));
    bytes.push_back(size);
    pointers.push_back(buffers.back().data());
  }
  bool isIntact() const {
    for (size_t i = 0; i < buffers.size(); ++i)
      for (size_t k = 0; k < canary; ++k)
        if (buffers[i][bytes[i] + k] != char(0xa5))
          return false;
    return true;
  }
  bool isUntouched() const {
    for (const Bytes &buffer : buffers)
      for (char byte : buffer)
        if (byte != char(0xa5))
          return false;
    return true;
  }
};

/// A session and all that it has delivered.
struct Stream {
  const itera_model_api *api;
  itera_session *session = nullptr;
  std::vector<Frames> outputs;

  Stream(const itera_model_api *api, const itera_model *model) : api(api) {
    EXPECT_EQ(api->session_create(model, &session), ITERA_OK);
    clearOutputs();
  }
  Stream(const itera_model_api *api, itera_session *session)
      : api(api), session(session) {
    clearOutputs();
  }
  Stream(const Stream &) = delete;
  ~Stream() { api->session_destroy(session); }

  void clearOutputs() {
    outputs.clear();
    for (uint32_t i = 0; i < api->output_count(); ++i)
      outputs.push_back(Frames::make(*api->output_info(i)));
  }

  itera_status begin(const std::vector<Frames> &inputs) {
    std::vector<const void *> pointers;
    std::vector<size_t> bytes;
    for (uint32_t i = 0; i < api->input_count(); ++i) {
      bool used = api->input_info(i)->role != ITERA_ROLE_STREAM;
      pointers.push_back(used ? inputs[i].bytes.data() : nullptr);
      bytes.push_back(used ? inputs[i].bytes.size() : 0);
    }
    clearOutputs();
    return api->begin(session, pointers.data(), bytes.data(), bytes.size());
  }

  /// Feeds the frames start, start + 1, ... of the streamed inputs.
  itera_status feed(const std::vector<Frames> &inputs, size_t start,
                    size_t count, bool step = false) {
    std::vector<Frames> slices;
    std::vector<const void *> pointers;
    std::vector<size_t> bytes;
    for (uint32_t i = 0; i < api->input_count(); ++i) {
      bool used = api->input_info(i)->role == ITERA_ROLE_STREAM;
      slices.push_back(used ? inputs[i].slice(start, count) : Frames());
    }
    for (Frames &slice : slices) {
      pointers.push_back(slice.bytes.empty() ? nullptr : slice.bytes.data());
      bytes.push_back(slice.bytes.size());
    }
    OutputBuffers buffers;
    std::vector<uint64_t> expected, got(api->output_count(), 99);
    for (uint32_t i = 0; i < api->output_count(); ++i) {
      expected.push_back(api->frames_after(session, count, i));
      buffers.add(expected[i] * outputs[i].outer * outputs[i].inner);
    }
    itera_status status =
        step ? api->step(session, pointers.data(), bytes.data(), bytes.size(),
                         buffers.pointers.data(), buffers.bytes.data(),
                         got.size(), got.data())
             : api->prefill(session, count, pointers.data(), bytes.data(),
                            bytes.size(), buffers.pointers.data(),
                            buffers.bytes.data(), got.size(), got.data());
    if (status != ITERA_OK) {
      EXPECT_TRUE(buffers.isUntouched());
      return status;
    }
    EXPECT_EQ(got, expected);
    keep(buffers, got);
    return status;
  }

  itera_status finish() { return end(api->finish); }
  itera_status peek() { return end(api->peek); }

  Bytes save() {
    Bytes blob(api->state_size(session), char(0xee));
    EXPECT_EQ(api->state_save(session, blob.data(), blob.size()), ITERA_OK);
    return blob;
  }
  itera_status load(const Bytes &blob) {
    return api->state_load(session, blob.data(), blob.size());
  }
  std::string error() { return api->last_error(session); }

private:
  itera_status end(decltype(itera_model_api::finish) call) {
    OutputBuffers buffers;
    std::vector<uint64_t> expected, got(api->output_count(), 99);
    for (uint32_t i = 0; i < api->output_count(); ++i) {
      bool last = api->output_info(i)->role == ITERA_ROLE_FINAL;
      expected.push_back(last ? 1 : api->frames_left(session, i));
      buffers.add(expected[i] * outputs[i].outer * outputs[i].inner);
    }
    itera_status status = call(session, buffers.pointers.data(),
                               buffers.bytes.data(), got.size(), got.data());
    if (status != ITERA_OK) {
      EXPECT_TRUE(buffers.isUntouched());
      return status;
    }
    EXPECT_EQ(got, expected);
    keep(buffers, got);
    return status;
  }

  void keep(const OutputBuffers &buffers, const std::vector<uint64_t> &frames) {
    EXPECT_TRUE(buffers.isIntact());
    for (size_t i = 0; i < frames.size(); ++i) {
      Frames part{outputs[i].outer, outputs[i].inner, size_t(frames[i]), {}};
      part.bytes.assign(buffers.buffers[i].begin(),
                        buffers.buffers[i].begin() + buffers.bytes[i]);
      outputs[i].append(part);
    }
  }
};

/// A test model of which streams are made.
struct StreamModel {
  TestModel library;
  const itera_model_api *api;
  itera_model *model = nullptr;

  explicit StreamModel(const char *name, const itera_host *host = nullptr)
      : library(name) {
    api = library.getApi();
    EXPECT_NE(api, nullptr);
    EXPECT_EQ(api->model_create(host, &model), ITERA_OK);
  }
  ~StreamModel() { api->model_destroy(model); }
};

inline float &at(Frames &tensor, size_t index) {
  return reinterpret_cast<float *>(tensor.bytes.data())[index];
}

/// Inputs of small integers, so that every order of summing gives the same.
inline std::vector<Frames> makeInputs(const itera_model_api *api, size_t frames,
                                      unsigned seed = 1) {
  std::vector<Frames> inputs;
  for (uint32_t i = 0; i < api->input_count(); ++i) {
    Frames input = Frames::make(*api->input_info(i));
    input.frames = api->input_info(i)->role == ITERA_ROLE_STREAM ? frames : 1;
    input.bytes.resize(input.outer * input.frames * input.inner);
    for (size_t k = 0; k < input.bytes.size() / 4; ++k)
      at(input, k) = float(int((seed = seed * 1103515245 + 12345) >> 16) % 8);
    inputs.push_back(std::move(input));
  }
  return inputs;
}

/// The outputs of the models stream and stream-auto; see stream.c.
inline std::vector<Frames> expectStream(const itera_model_api *api,
                                        std::vector<Frames> inputs) {
  enum { B = 2, C = 3 };
  int T = int(inputs[0].frames);
  std::vector<Frames> outputs{Frames::make(*api->output_info(0)),
                              Frames::make(*api->output_info(1))};
  outputs[0].frames = T;
  outputs[0].bytes.resize(B * T * C * 4);
  outputs[1].frames = 1;
  outputs[1].bytes.resize(B * C * 4);
  for (int b = 0; b < B; ++b)
    for (int c = 0; c < C; ++c) {
      auto x = [&](int t) {
        return t < 0 ? 0 : at(inputs[0], (b * T + t) * C + c);
      };
      float gain = inputs.size() > 2 ? at(inputs[2], c) : 1;
      float mean = 0;
      for (int t = 0; t < T; ++t) {
        float y = gain * (x(t) + 2 * x(t - 1) + 3 * x(t - 2));
        y += at(inputs[1], b * C + c);
        for (int k = 0; k <= t; ++k)
          y += x(k);
        at(outputs[0], (b * T + t) * C + c) = y;
        mean += y;
      }
      at(outputs[1], b * C + c) = T ? mean / float(T) : 0;
    }
  return outputs;
}

/// The outputs of the model lookahead; see lookahead.c.
inline std::vector<Frames> expectLookahead(const itera_model_api *api,
                                           std::vector<Frames> inputs) {
  enum { C = 2 };
  int T = int(inputs[0].frames), half = (T + 1) / 2;
  std::vector<Frames> outputs;
  for (uint32_t i = 0; i < 5; ++i)
    outputs.push_back(Frames::make(*api->output_info(i)));
  size_t frames[] = {size_t(half), size_t(T), size_t(2 * T), 1, 1};
  for (int i = 0; i < 5; ++i) {
    outputs[i].frames = frames[i];
    outputs[i].bytes.resize(outputs[i].outer * frames[i] * outputs[i].inner);
  }
  for (int c = 0; c < C; ++c) {
    auto x = [&](int t) {
      return t < 0 || t >= T ? 0 : at(inputs[0], c * T + t);
    };
    float total = 0;
    for (int j = 0; j < half; ++j) {
      float sum = 0;
      for (int k = 0; k < 5; ++k)
        sum += float(k + 1) * x(2 * j + k - 2);
      total += at(outputs[0], c * half + j) = sum;
    }
    for (int t = 0; t < T; ++t) {
      at(outputs[1], c * T + t) = x(t + 2) - x(t);
      at(outputs[2], (c * T + t) * 2) = x(t);
      at(outputs[2], (c * T + t) * 2 + 1) = -x(t);
    }
    at(outputs[3], c) = total;
  }
  int64_t length = T;
  memcpy(outputs[4].bytes.data(), &length, 8);
  return outputs;
}

/// The outputs of any of the models.
inline std::vector<Frames> expectOutputs(const itera_model_api *api,
                                         const std::vector<Frames> &inputs) {
  return api->output_count() == 2 ? expectStream(api, inputs)
                                  : expectLookahead(api, inputs);
}

} // namespace itera

#endif // ITERA_UNITTESTS_RUNTIME_STREAMMODEL_H
