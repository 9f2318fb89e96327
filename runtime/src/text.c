// SPDX-License-Identifier: Apache-2.0
//
// Error texts without libc: append to a fixed buffer, always null-terminated.

#include "runtime.h"

itera_text itera_text_begin(char *data, size_t capacity) {
  itera_text text = {data, capacity, 0};
  data[0] = '\0';
  return text;
}

static void append_char(itera_text *text, char c) {
  if (text->used + 1 >= text->capacity)
    return;
  text->data[text->used++] = c;
  text->data[text->used] = '\0';
}

void itera_text_append(itera_text *text, const char *string) {
  for (; *string; ++string)
    append_char(text, *string);
}

// A name from the model: quoted, kept short, and on one line whatever it holds.
void itera_text_append_name(itera_text *text, const char *name) {
  enum { longest = 80 };
  append_char(text, '\'');
  for (int i = 0; name[i]; ++i) {
    if (i == longest) {
      itera_text_append(text, "...");
      break;
    }
    unsigned char c = (unsigned char)name[i];
    append_char(text, c < 0x20 || c == 0x7f ? '?' : name[i]);
  }
  append_char(text, '\'');
}

void itera_text_append_number(itera_text *text, uint64_t number) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = (char)('0' + number % 10);
    number /= 10;
  } while (number);
  while (count)
    append_char(text, digits[--count]);
}
