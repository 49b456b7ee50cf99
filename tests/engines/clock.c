// To be preloaded: the system's clock is ahead by as many seconds as the file CLOCK_FILE says. Steady clocks are left.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  const int result = real(clock, time);
  const char *name = getenv("CLOCK_FILE");
  if (clock != CLOCK_REALTIME || !name) return result;
  FILE *file = fopen(name, "r");
  long ahead = 0;
  if (file) {
    if (fscanf(file, "%ld", &ahead) == 1) time->tv_sec += ahead;
    fclose(file);
  }
  return result;
}
