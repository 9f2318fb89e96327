// SPDX-License-Identifier: Apache-2.0
//
// A model within an audio callback: blocks of any size come in, as many samples
// as are known go out, and nothing is allocated meanwhile.
//
//   audio_blocks MODEL.so
//
// The model has one streamed input and one streamed output of one float32 per
// sample, as filter.mlir. Ten seconds of a sweep go through it in blocks of odd
// sizes, and once more sample by sample: the results are the same bits.
//
//   c++ -std=c++17 -I<itera>/include audio_blocks.cpp -ldl -o audio_blocks

#include "itera/abi.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>
#include <new>
#include <vector>

/// Every way to memory counts: the program's own and the model's.
static unsigned long allocations;

void *operator new(std::size_t size) {
  ++allocations;
  if (void *pointer = std::malloc(size))
    return pointer;
  std::abort();
}
void operator delete(void *pointer) noexcept { std::free(pointer); }
void operator delete(void *pointer, std::size_t) noexcept {
  std::free(pointer);
}

static void *allocateForModel(void *, std::size_t size, std::size_t align) {
  ++allocations;
  return std::aligned_alloc(align, (size + align - 1) / align * align);
}
static void freeForModel(void *, void *pointer, std::size_t, std::size_t) {
  std::free(pointer);
}

[[noreturn]] static void fail(const char *what) {
  std::fprintf(stderr, "audio_blocks: %s\n", what);
  std::exit(1);
}

/// One stream of sound through a model.
class Filter {
public:
  explicit Filter(const char *path) {
    library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
      fail(dlerror());
    auto query = reinterpret_cast<itera_model_query_fn>(
        dlsym(library, ITERA_MODEL_QUERY_SYMBOL));
    if (!query)
      fail("not a compiled model");
    itera_host host = {};
    host.struct_size = sizeof(host);
    host.alloc = allocateForModel;
    host.free = freeForModel;
    host.log = [](void *, int32_t, const char *text) {
      std::fprintf(stderr, "audio_blocks: %s\n", text);
    };
    api = query(ITERA_ABI_VERSION, &host);
    if (!api)
      std::exit(1); // the log has said why
    if (!ITERA_HAS(api, itera_model_api, frames_total) || !api->prefill ||
        !isSound(api->input_info(0)) || !isSound(api->output_info(0)) ||
        api->input_count() != 1 || api->output_count() != 1)
      fail("expected one input and one output of a float per sample");
    if (api->model_create(&host, &model) != ITERA_OK ||
        api->session_create(model, &session) != ITERA_OK)
      std::exit(1);
  }
  Filter(const Filter &) = delete;
  ~Filter() {
    api->session_destroy(session);
    api->model_destroy(model);
    dlclose(library);
  }

  int64_t getLatency() const { return api->output_info(0)->latency; }
  uint64_t getPosition() const { return api->position(session); }
  void reset() { check(api->state_reset(session)); }

  /// The audio callback: feeds `count` samples, writes at most `room` to `out`
  /// and returns how many. Real-time safe: no allocation, no lock, no call of
  /// the system.
  uint64_t process(const float *in, uint64_t count, float *out, uint64_t room) {
    const void *inputs[] = {in};
    void *outputs[] = {out};
    size_t inputBytes[] = {count * sizeof(float)};
    size_t outputBytes[] = {room * sizeof(float)};
    uint64_t written[1];
    check(api->prefill(session, count, inputs, inputBytes, 1, outputs,
                       outputBytes, 1, written));
    return written[0];
  }

  /// The end of the sound: the samples that waited for others behind them.
  uint64_t finish(float *out, uint64_t room) {
    void *outputs[] = {out};
    size_t outputBytes[] = {room * sizeof(float)};
    uint64_t written[1];
    check(api->finish(session, outputs, outputBytes, 1, written));
    return written[0];
  }

private:
  static bool isSound(const itera_tensor_info *info) {
    return info && info->dtype == ITERA_FLOAT32 &&
           info->role == ITERA_ROLE_STREAM &&
           info->bytes == info->dims[info->time_dim] * sizeof(float);
  }
  void check(itera_status status) const {
    if (status != ITERA_OK)
      fail(api->last_error(session));
  }

  void *library;
  const itera_model_api *api;
  itera_model *model = nullptr;
  itera_session *session = nullptr;
};

static double now() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// Sends the sound through in blocks of these sizes, in turn.
static std::vector<float> run(Filter &filter, const std::vector<float> &sound,
                              const std::vector<uint64_t> &sizes) {
  std::vector<float> out(sound.size());
  uint64_t start = 0, made = 0, blocks = 0;
  double worst = 0, total = 0;
  unsigned long before = allocations;
  while (start < sound.size()) {
    uint64_t count =
        std::min<uint64_t>(sizes[blocks++ % sizes.size()], sound.size() - start);
    double begin = now();
    made += filter.process(&sound[start], count, &out[made], out.size() - made);
    double seconds = now() - begin;
    start += count;
    worst = std::max(worst, seconds);
    total += seconds;
  }
  uint64_t held = filter.finish(out.data() + made, out.size() - made);
  unsigned long during = allocations - before;
  std::printf("%llu samples in %llu blocks: %llu out, %llu more at the end\n",
              static_cast<unsigned long long>(filter.getPosition()),
              static_cast<unsigned long long>(blocks),
              static_cast<unsigned long long>(made),
              static_cast<unsigned long long>(held));
  std::printf("  allocations %lu\n", during);
  std::printf("  %.1f ns per sample, longest block %.1f us\n",
              total / sound.size() * 1e9, worst * 1e6);
  if (during || made + held != sound.size())
    fail("expected no allocation, and a sample for every sample");
  return out;
}

int main(int argc, char **argv) {
  if (argc != 2)
    fail("usage: audio_blocks MODEL.so");
  constexpr double rate = 48000;
  std::vector<float> sound(10 * rate);
  for (size_t i = 0; i < sound.size(); ++i) {
    double t = i / rate; // from 100 Hz up by 500 Hz each second
    sound[i] = static_cast<float>(0.5 * std::sin(6.283185307 * (100 + 250 * t) * t));
  }

  Filter filter(argv[1]);
  std::printf("latency %lld samples, %.3f ms at 48 kHz\n",
              static_cast<long long>(filter.getLatency()),
              filter.getLatency() / rate * 1e3);
  std::vector<float> blocks = run(filter, sound, {1, 17, 64, 441, 3, 128});
  filter.reset();
  std::vector<float> single = run(filter, sound, {1});
  if (blocks != single)
    fail("the two differ");
  std::printf("the same samples both times\n");
}
