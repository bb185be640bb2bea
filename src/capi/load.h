/* capi/load.h: how busy this machine, or the container we are in, is. Linux: /proc and cgroup v2; 0 where unknown. */
#ifndef CAPI_LOAD_H
#define CAPI_LOAD_H

#include <stdint.h>

struct load { uint64_t busy, total; }; /* zero-initialised: nothing seen yet */

double load_memory(void);              /* share of memory in use, 0 … 1 */
double load_cpu(struct load *load);    /* share of CPU time used since the last call, 0 … 1; the first says 0 */

#endif
