/* SPDX-License-Identifier: Apache-2.0 */
/* Linked into every program of a sanitizer build, so that it needs nothing from
 * the environment. ASAN_OPTIONS and UBSAN_OPTIONS still have the last word. */

/* The LLVM that we link is not instrumented, but shares inline functions with
 * us that are: our copy of BumpPtrAllocator poisons what its copy then hands
 * out. The exit code is none that our programs have. */
const char *__asan_default_options(void) {
  return "allow_user_poisoning=0:exitcode=99";
}

const char *__ubsan_default_options(void) {
  return "halt_on_error=1:print_stacktrace=1:exitcode=99";
}
