// To be preloaded: fails one call that writes to a file with "faulty.db" in its name, or flushes or cuts it: the FAULT_AT-th.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(int file) {
  static atomic_int calls;
  char link[64], name[4096];
  const int error = errno;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  const ssize_t length = readlink(link, name, sizeof name - 1);
  errno = error;
  if (length < 0) return 0;
  name[length] = 0;
  const char *at = getenv("FAULT_AT");
  if (!at || !strstr(name, "faulty.db") || atomic_fetch_add(&calls, 1) + 1 != atoi(at)) return 0;
  fprintf(stderr, "a call on %s fails\n", name);
  errno = EIO;
  return 1;
}

#define WRAP(type, name, parameters, arguments)                  \
  type name parameters {                                         \
    static type(*real) parameters;                               \
    if (!real) real = (type(*) parameters)dlsym(RTLD_NEXT, #name); \
    return fails(file) ? -1 : real arguments;                    \
  }

WRAP(ssize_t, write, (int file, const void *bytes, size_t count), (file, bytes, count))
WRAP(ssize_t, pwrite, (int file, const void *bytes, size_t count, off_t at), (file, bytes, count, at))
WRAP(ssize_t, pwrite64, (int file, const void *bytes, size_t count, off64_t at), (file, bytes, count, at))
WRAP(int, fsync, (int file), (file))
WRAP(int, fdatasync, (int file), (file))
WRAP(int, ftruncate, (int file, off_t length), (file, length))
WRAP(int, ftruncate64, (int file, off64_t length), (file, length))
