/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that gives models a hard time.
 *
 *   host reload MODEL.so TIMES      load, run and unload, over and over
 *   host threads A.so B.so TIMES    two models at once, as they are one by one
 *   host wild MODEL.so TIMES        inputs that mean nothing
 *
 * Every buffer that a model sees lies between pages that nobody may touch, by
 * turns at the front and at the back of its own pages, and inputs are read-only:
 * a stray access of any kind ends the program. The results are hashed.
 */
#define _GNU_SOURCE
#include "itera/abi.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void fail(const char *what) {
  fprintf(stderr, "host: %s\n", what);
  exit(1);
}

/* Guarded memory. */

enum { page = 4096 };

typedef struct {
  char *pages; /* without the guards */
  size_t size; /* of the pages */
  void *data;
} buffer;

static buffer guarded(size_t bytes, size_t align, int at_back) {
  buffer made;
  char *all;
  made.size = (bytes + page - 1) / page * page;
  all = mmap(NULL, made.size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
             -1, 0);
  if (all == MAP_FAILED)
    fail("no memory");
  made.pages = all + page;
  if (made.size && mprotect(made.pages, made.size, PROT_READ | PROT_WRITE))
    fail("cannot protect");
  made.data = made.pages;
  if (at_back)
    made.data = made.pages + (made.size - bytes) / align * align;
  return made;
}

static void release(buffer old) { munmap(old.pages - page, old.size + 2 * page); }

static void *hook_alloc(void *ctx, size_t size, size_t align) {
  return guarded(size, align, ctx != NULL).data;
}

static void hook_free(void *ctx, void *pointer, size_t size, size_t align) {
  char *pages = (char *)((size_t)pointer / page * page);
  (void)ctx, (void)align;
  munmap(pages - page, (size + page - 1) / page * page + 2 * page);
}

/* Inputs. */

static unsigned long long next_number(unsigned long long *seed) {
  *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
  return *seed >> 33;
}

static void fill(char *data, const itera_tensor_info *info, int wild,
                 unsigned long long *seed) {
  static const unsigned wild_floats[] = {0x7fc00000, 0x7f800000, 0xff800000,
                                         0x7f7fffff, 0xff7fffff, 0x00000001,
                                         0x80000000, 0x7fa00001};
  static const long long wild_longs[] = {-1,          1000000007,  -1000000007,
                                         1ll << 62,   -(1ll << 62), 1ll << 31,
                                         -(1ll << 31), (long long)(~0ull >> 1),
                                         0,           -(long long)(~0ull >> 1) - 1};
  static const char wild_bytes[] = {0, -1, 1, 127, -128};
  size_t i;
  switch (info->dtype) {
  case ITERA_FLOAT32:
    for (i = 0; i < info->bytes / 4; ++i) {
      float value = (float)next_number(seed) / (float)(1u << 30) - 1;
      unsigned bits = wild_floats[next_number(seed) % 8];
      memcpy(data + 4 * i, wild && next_number(seed) % 4 ? (void *)&bits : (void *)&value, 4);
    }
    return;
  case ITERA_INT64:
    for (i = 0; i < info->bytes / 8; ++i) {
      long long value = (long long)(next_number(seed) % 16);
      if (wild)
        value = wild_longs[next_number(seed) % 10];
      memcpy(data + 8 * i, &value, 8);
    }
    return;
  default:
    /* Wild: every other tensor is of one byte, such as all 0 or all -1. */
    if (wild && next_number(seed) % 2)
      memset(data, wild_bytes[next_number(seed) % 5], info->bytes);
    else
      for (i = 0; i < info->bytes; ++i)
        data[i] = (char)(wild ? next_number(seed) : next_number(seed) % 2);
  }
}

/* One model. */

typedef struct {
  void *library;
  const itera_model_api *api;
  itera_model *model;
  itera_host host;
} loaded;

static void load(loaded *it, const char *path, int at_back) {
  itera_model_query_fn query;
  it->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!it->library)
    fail(dlerror());
  *(void **)&query = dlsym(it->library, ITERA_MODEL_QUERY_SYMBOL);
  it->api = query ? query(ITERA_ABI_VERSION, NULL) : NULL;
  if (!it->api)
    fail("no model");
  memset(&it->host, 0, sizeof it->host);
  it->host.struct_size = sizeof it->host;
  it->host.ctx = at_back ? it : NULL;
  it->host.alloc = hook_alloc;
  it->host.free = hook_free;
  if (it->api->model_create(&it->host, &it->model) != ITERA_OK)
    fail("no model");
}

static void unload(loaded *it) {
  it->api->model_destroy(it->model);
  if (dlclose(it->library))
    fail("cannot unload");
}

/* Runs once in a session of its own; returns a hash of the outputs. */
static unsigned long long run(loaded *it, int at_back, int wild,
                              unsigned long long seed) {
  enum { most = 64 };
  buffer in[most], out[most];
  const void *in_data[most];
  void *out_data[most];
  size_t in_bytes[most], out_bytes[most], b;
  unsigned long long hash = 14695981039346656037ull;
  uint32_t i, ins = it->api->input_count(), outs = it->api->output_count();
  itera_session *session;
  if (ins > most || outs > most)
    fail("too many inputs or outputs");
  for (i = 0; i < ins; ++i) {
    const itera_tensor_info *info = it->api->input_info(i);
    in[i] = guarded(info->bytes, 8, at_back);
    fill(in[i].data, info, wild, &seed);
    if (in[i].size && mprotect(in[i].pages, in[i].size, PROT_READ))
      fail("cannot protect");
    in_data[i] = in[i].data;
    in_bytes[i] = info->bytes;
  }
  for (i = 0; i < outs; ++i) {
    out_bytes[i] = it->api->output_info(i)->bytes;
    out[i] = guarded(out_bytes[i], 8, at_back);
    out_data[i] = out[i].data;
  }
  if (it->api->session_create(it->model, &session) != ITERA_OK)
    fail("no session");
  if (it->api->forward(session, in_data, in_bytes, ins, out_data, out_bytes,
                       outs) != ITERA_OK)
    fail(it->api->last_error(session));
  it->api->session_destroy(session);
  for (i = 0; i < outs; ++i)
    for (b = 0; b < out_bytes[i]; ++b)
      hash = (hash ^ ((unsigned char *)out_data[i])[b]) * 1099511628211ull;
  for (i = 0; i < ins; ++i)
    release(in[i]);
  for (i = 0; i < outs; ++i)
    release(out[i]);
  return hash;
}

/* Threads. */

typedef struct {
  loaded *model;
  int times;
  unsigned long long *hashes;
} work;

static void *run_all(void *argument) {
  work *mine = argument;
  int i;
  for (i = 0; i < mine->times; ++i)
    mine->hashes[i] = run(mine->model, i & 1, 0, (unsigned long long)i);
  return NULL;
}

static void threads(const char *a, const char *b, int times) {
  loaded models[2];
  unsigned long long *alone[2], *together[2];
  pthread_t ids[2];
  int k;
  load(&models[0], a, 0);
  load(&models[1], b, 1);
  for (k = 0; k < 2; ++k) {
    work serial;
    alone[k] = calloc((size_t)times, sizeof **alone);
    together[k] = calloc((size_t)times, sizeof **together);
    serial.model = &models[k], serial.times = times, serial.hashes = alone[k];
    run_all(&serial);
  }
  {
    work parallel[2];
    for (k = 0; k < 2; ++k) {
      parallel[k].model = &models[k], parallel[k].times = times;
      parallel[k].hashes = together[k];
      if (pthread_create(&ids[k], NULL, run_all, &parallel[k]))
        fail("no thread");
    }
    for (k = 0; k < 2; ++k)
      pthread_join(ids[k], NULL);
  }
  for (k = 0; k < 2; ++k) {
    if (memcmp(alone[k], together[k], (size_t)times * sizeof **alone))
      fail("other results in parallel");
    free(alone[k]);
    free(together[k]);
    unload(&models[k]);
  }
}

static int count_mappings(void) {
  int lines = 0, c;
  FILE *maps = fopen("/proc/self/maps", "r");
  if (!maps)
    return 0;
  while ((c = getc(maps)) != EOF)
    lines += c == '\n';
  fclose(maps);
  return lines;
}

int main(int argc, char **argv) {
  int i, times = argc > 3 ? atoi(argv[argc - 1]) : 0, mappings = 0;
  loaded it;
  if (argc == 4 && !strcmp(argv[1], "reload")) {
    unsigned long long first = 0, hash;
    for (i = 0; i < times; ++i) {
      load(&it, argv[2], i & 1);
      hash = run(&it, i & 1, 0, 1);
      unload(&it);
      if (i == 0)
        first = hash, mappings = count_mappings();
      if (hash != first)
        fail("other results after loading again");
    }
    if (count_mappings() > mappings + 4)
      fail("mappings are left behind");
  } else if (argc == 5 && !strcmp(argv[1], "threads")) {
    threads(argv[2], argv[3], times);
  } else if (argc == 4 && !strcmp(argv[1], "wild")) {
    for (i = 0; i < times; ++i) {
      load(&it, argv[2], i & 1);
      run(&it, i & 1, 1, (unsigned long long)i);
      unload(&it);
    }
  } else {
    fail("expected reload, threads or wild");
  }
  printf("done\n");
  return 0;
}
