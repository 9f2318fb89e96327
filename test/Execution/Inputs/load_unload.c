/* SPDX-License-Identifier: Apache-2.0 */
/* load_unload A.so B.so ROUNDS: loads and unloads A that many times; then runs
 * A and B from two threads at once and compares with what each computed alone. */
#include "itera/abi.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                       \
  do {                                                                         \
    if (!(condition)) {                                                        \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);          \
      exit(1);                                                                 \
    }                                                                          \
  } while (0)

enum { kMost = 16 };

typedef struct {
  void *library;
  const itera_model_api *api;
  itera_model *model;
  itera_session *session;
  void *inputs[kMost], *outputs[kMost];
  size_t input_bytes[kMost], output_bytes[kMost];
} Run;

static void start(Run *run, const char *path) {
  run->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  CHECK(run->library);
  itera_model_query_fn query;
  *(void **)&query = dlsym(run->library, ITERA_MODEL_QUERY_SYMBOL);
  CHECK(query);
  run->api = query(ITERA_ABI_VERSION, NULL);
  CHECK(run->api);
  CHECK(run->api->model_create(NULL, &run->model) == ITERA_OK);
  CHECK(run->api->session_create(run->model, &run->session) == ITERA_OK);
  CHECK(run->api->input_count() <= kMost && run->api->output_count() <= kMost);
  for (uint32_t i = 0; i < run->api->input_count(); ++i) {
    run->input_bytes[i] = run->api->input_info(i)->bytes;
    run->inputs[i] = calloc(1, run->input_bytes[i]);
  }
  for (uint32_t i = 0; i < run->api->output_count(); ++i) {
    run->output_bytes[i] = run->api->output_info(i)->bytes;
    run->outputs[i] = malloc(run->output_bytes[i]);
  }
}

static void stop(Run *run) {
  for (uint32_t i = 0; i < run->api->input_count(); ++i)
    free(run->inputs[i]);
  for (uint32_t i = 0; i < run->api->output_count(); ++i)
    free(run->outputs[i]);
  run->api->session_destroy(run->session);
  run->api->model_destroy(run->model);
  CHECK(dlclose(run->library) == 0);
}

static void forward(Run *run) {
  CHECK(run->api->forward(run->session, (const void *const *)run->inputs,
                          run->input_bytes, run->api->input_count(),
                          run->outputs, run->output_bytes,
                          run->api->output_count()) == ITERA_OK);
}

static void *repeat(void *run) {
  for (int i = 0; i < 5; ++i)
    forward(run);
  return NULL;
}

int main(int argc, char **argv) {
  CHECK(argc == 4);
  for (int i = 0; i < atoi(argv[3]); ++i) {
    Run run;
    start(&run, argv[1]);
    stop(&run);
  }
  Run runs[2];
  void *alone[2];
  for (int i = 0; i < 2; ++i) {
    start(&runs[i], argv[1 + i]);
    forward(&runs[i]);
    alone[i] = malloc(runs[i].output_bytes[0]);
    memcpy(alone[i], runs[i].outputs[0], runs[i].output_bytes[0]);
    memset(runs[i].outputs[0], 0, runs[i].output_bytes[0]);
  }
  pthread_t threads[2];
  for (int i = 0; i < 2; ++i)
    CHECK(pthread_create(&threads[i], NULL, repeat, &runs[i]) == 0);
  for (int i = 0; i < 2; ++i) {
    pthread_join(threads[i], NULL);
    CHECK(memcmp(alone[i], runs[i].outputs[0], runs[i].output_bytes[0]) == 0);
    free(alone[i]);
    stop(&runs[i]);
  }
  puts("the same alone and together");
  return 0;
}
