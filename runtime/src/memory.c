// SPDX-License-Identifier: Apache-2.0
//
// The four memory functions that a compiler may call without being asked.
//
// LLVM emits calls to them even in freestanding code. These are hidden, so the
// artefact never imports them and never replaces the host's. Bulk work goes
// through 16-byte vectors, four at a time: loads and stores of any alignment
// are cheap on every CPU that we compile for. Built with -fno-builtin, or the
// compiler would turn the loops back into calls of the functions themselves.

#include <stddef.h>
#include <stdint.h>

typedef uint8_t vec16 __attribute__((vector_size(16), aligned(1), may_alias));

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int value, size_t size);
int memcmp(const void *left, const void *right, size_t size);

static void copy_up(uint8_t *to, const uint8_t *from, size_t size) {
  for (; size >= 64; size -= 64, to += 64, from += 64) {
    // All loads before the first store: right for overlapping ranges as well,
    // as long as `to` is below `from`.
    vec16 a = *(const vec16 *)from, b = *(const vec16 *)(from + 16);
    vec16 c = *(const vec16 *)(from + 32), d = *(const vec16 *)(from + 48);
    *(vec16 *)to = a;
    *(vec16 *)(to + 16) = b;
    *(vec16 *)(to + 32) = c;
    *(vec16 *)(to + 48) = d;
  }
  for (; size >= 16; size -= 16, to += 16, from += 16)
    *(vec16 *)to = *(const vec16 *)from;
  for (; size; --size)
    *to++ = *from++;
}

static void copy_down(uint8_t *to, const uint8_t *from, size_t size) {
  for (; size >= 16; size -= 16)
    *(vec16 *)(to + size - 16) = *(const vec16 *)(from + size - 16);
  for (; size; --size)
    to[size - 1] = from[size - 1];
}

void *memcpy(void *restrict to, const void *restrict from, size_t size) {
  copy_up(to, from, size);
  return to;
}

void *memmove(void *to, const void *from, size_t size) {
  // Unsigned: true also if `to` is below `from`.
  if ((uintptr_t)to - (uintptr_t)from >= size)
    copy_up(to, from, size);
  else
    copy_down(to, from, size);
  return to;
}

void *memset(void *to, int value, size_t size) {
  uint8_t *bytes = to;
  vec16 fill = (vec16){0} + (uint8_t)value;
  for (; size >= 64; size -= 64, bytes += 64) {
    *(vec16 *)bytes = fill;
    *(vec16 *)(bytes + 16) = fill;
    *(vec16 *)(bytes + 32) = fill;
    *(vec16 *)(bytes + 48) = fill;
  }
  for (; size >= 16; size -= 16, bytes += 16)
    *(vec16 *)bytes = fill;
  for (; size; --size)
    *bytes++ = (uint8_t)value;
  return to;
}

int memcmp(const void *left, const void *right, size_t size) {
  const uint8_t *a = left, *b = right;
  for (; size; --size, ++a, ++b)
    if (*a != *b)
      return *a < *b ? -1 : 1;
  return 0;
}
