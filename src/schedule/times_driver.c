/* Prints the times of specifications, for oracle.py to compare: a line "zone file|from|to|cron text" (seconds) gives a line of times. */
#include "schedule/spec.h"

#include <stdio.h>
#include <stdlib.h>

static struct str file_read(const char *path, struct arena *arena)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) return STR_EMPTY;
    char *data = arena_alloc(arena, TZ_BYTES_MAX);
    size_t size = fread(data, 1, TZ_BYTES_MAX, file);
    fclose(file);
    return (struct str){data, size};
}

static err print(char *line)
{
    struct arena arena;
    arena_init(&arena, 0, 0);
    const char *path = strtok(line, "|"), *from = strtok(NULL, "|"), *to = strtok(NULL, "|");
    struct str cron = str_of(strtok(NULL, "\n"));
    struct tz *tz;
    struct spec *spec;
    pb_schedule_ScheduleSpec in = {0}, *canonical;
    PB_PUSH(&arena, &in, cron_string) = cron;
    struct error error = {0};
    TRY(tz_parse(file_read(path, &arena), &arena, &tz));
    TRY(spec_canonical(&in, &arena, &canonical, &error));
    TRY(spec_compile(canonical, tz, 1, &arena, &spec, &error));
    int64_t end = strtoll(to, NULL, 10);
    for (instant t = {strtoll(from, NULL, 10) * NS_PER_S - 1};;) {
        t = spec_next(spec, t).at;
        if (t.ns == INSTANT_NEVER.ns || t.ns >= end * NS_PER_S) break;
        printf("%lld ", (long long)(t.ns / NS_PER_S));
    }
    printf("\n");
    arena_fini(&arena);
    return ERR_NONE;
}

int main(void)
{
    static char line[4096];
    while (fgets(line, sizeof line, stdin) != NULL) {
        err result = print(line);
        if (result == ERR_NONE) continue;
        printf("error %s\n", err_text(result));
        return 1;
    }
    return 0;
}
