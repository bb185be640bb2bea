#include "capi/load.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool read_number(const char *path, uint64_t *out)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) return false;
    bool ok = fscanf(file, "%" SCNu64, out) == 1; /* "max" is no number */
    fclose(file);
    return ok;
}

static double memory_of_machine(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    uint64_t total = 0, available = 0, value;
    char line[128];
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "MemTotal: %" SCNu64, &value) == 1) total = value;
        if (sscanf(line, "MemAvailable: %" SCNu64, &value) == 1) available = value;
    }
    fclose(file);
    return total != 0 && available <= total ? (double)(total - available) / (double)total : 0;
}

double load_memory(void)
{
    uint64_t used, limit;
    double machine = memory_of_machine();
    if (!read_number("/sys/fs/cgroup/memory.max", &limit) || limit == 0 || !read_number("/sys/fs/cgroup/memory.current", &used)) return machine;
    double own = (double)used / (double)limit;
    return own > machine ? own : machine;
}

double load_cpu(struct load *load)
{
    uint64_t v[8] = {0}, total = 0;
    FILE *file = fopen("/proc/stat", "re");
    if (file == NULL) return 0;
    int count = fscanf(file, "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &v[0],
                       &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]);
    fclose(file);
    if (count < 5) return 0;
    for (int i = 0; i < 8; i++) total += v[i];
    uint64_t busy = total - v[3] - v[4]; /* idle and waiting for disks */
    struct load before = *load;
    *load = (struct load){busy, total};
    if (before.total == 0 || total <= before.total || busy < before.busy) return 0;
    return (double)(busy - before.busy) / (double)(total - before.total);
}
