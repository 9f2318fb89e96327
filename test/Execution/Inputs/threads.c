// SPDX-License-Identifier: Apache-2.0
//
// 64 sessions of one model, 16 on each of four threads, frame by frame and in
// chunks; then each of them again, alone. Both must give the same bytes.

#include "itera/abi.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { threads = 4, per_thread = 16, sessions = threads * per_thread };
enum { frames = 40 };

// The runtime's door; in a shared object it has the model's name.
extern const itera_model_api *itera_runtime_query(uint32_t, const itera_host *);
static const itera_model_api *api;
static itera_model *model;

static void *allocate(size_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 64) / 64 * 64);
  if (!memory)
    abort();
  return memory;
}

static void check(itera_status status, itera_session *session) {
  if (status == ITERA_OK)
    return;
  fprintf(stderr, "error: %s\n", api->last_error(session));
  exit(1);
}

// The model has one input of tokens and one output of floats.
typedef struct job {
  itera_session *session;
  unsigned seed;
  int done;
  char *output;
  size_t used;
} job;

static void feed(job *work, int count) {
  int64_t tokens[frames];
  for (int i = 0; i < count; ++i)
    tokens[i] = (work->seed = work->seed * 1103515245 + 12345) >> 16 & 127;
  const void *input = tokens;
  size_t input_bytes = (size_t)count * sizeof *tokens;
  const itera_tensor_info *info = api->output_info(0);
  size_t bytes = info->bytes / (size_t)info->dims[info->time_dim] *
                 api->frames_after(work->session, (uint64_t)count, 0);
  void *output = work->output + work->used;
  uint64_t got;
  check(api->prefill(work->session, (uint64_t)count, &input, &input_bytes, 1,
                     &output, &bytes, 1, &got),
        work->session);
  work->used += bytes;
  work->done += count;
}

static void start(job *work, unsigned number) {
  *work = (job){.seed = number * 77 + 1};
  const itera_tensor_info *info = api->output_info(0);
  work->output =
      allocate(info->bytes / (size_t)info->dims[info->time_dim] * frames);
  check(api->session_create(model, &work->session), NULL);
}

// Sessions of one thread take turns; each has calls of another size.
static void *run_thread(void *first) {
  job *jobs = first;
  for (int busy = 1; busy;) {
    busy = 0;
    for (int i = 0; i < per_thread; ++i) {
      int left = frames - jobs[i].done, size = i % 4 == 3 ? 17 : 1 + i % 4;
      if (left)
        feed(&jobs[i], size < left ? size : left);
      busy |= jobs[i].done < frames;
    }
  }
  return NULL;
}

int main(void) {
  static job jobs[sessions], alone;
  pthread_t running[threads];
  api = itera_runtime_query(ITERA_ABI_VERSION, NULL);
  if (!api || api->model_create(NULL, &model) != ITERA_OK)
    return 1;
  for (int i = 0; i < sessions; ++i)
    start(&jobs[i], (unsigned)i);
  for (int i = 0; i < threads; ++i)
    if (pthread_create(&running[i], NULL, run_thread, &jobs[i * per_thread]))
      return 1;
  for (int i = 0; i < threads; ++i)
    pthread_join(running[i], NULL);
  int wrong = 0;
  for (int i = 0; i < sessions; ++i) {
    start(&alone, (unsigned)i);
    feed(&alone, frames);
    wrong += alone.used != jobs[i].used ||
             memcmp(alone.output, jobs[i].output, alone.used);
    api->session_destroy(alone.session);
    api->session_destroy(jobs[i].session);
    free(alone.output);
    free(jobs[i].output);
  }
  api->model_destroy(model);
  printf("%d sessions on %d threads: %d differ\n", sessions, threads, wrong);
  return wrong != 0;
}
