#include "base/map.h"

#include <stdlib.h>

enum { GONE = UINT32_MAX };

struct map_entry {
    void *value; /* NULL: removed */
    uint64_t hash;
    char *key; /* unused by map_u64, whose key is `hash` before mixing */
    size_t key_size;
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    return x;
}

static bool entry_is(const struct map_entry *e, uint64_t hash, struct str key, bool is_bytes)
{
    return e->value != NULL && e->hash == hash && (!is_bytes || str_equal((struct str){e->key, e->key_size}, key));
}

/* The slot of the key, or -1. */
static ptrdiff_t find(const struct map *map, uint64_t hash, struct str key, bool is_bytes)
{
    if (map->slot_count == 0) return -1;
    size_t mask = map->slot_count - 1;
    for (size_t i = mix(hash) & mask;; i = (i + 1) & mask) {
        uint32_t s = map->slots[i];
        if (s == 0) return -1;
        if (s != GONE && entry_is(&map->entries[s - 1], hash, key, is_bytes)) return (ptrdiff_t)i;
    }
}

static void place(struct map *map, uint32_t entry_index)
{
    size_t mask = map->slot_count - 1, i = mix(map->entries[entry_index].hash) & mask;
    while (map->slots[i] != 0) i = (i + 1) & mask;
    map->slots[i] = entry_index + 1;
}

/* Closes the holes and makes room for one more; slots are at most half used. */
static void rebuild(struct map *map)
{
    size_t slot_count = 4; /* maps are many and mostly small */
    while (slot_count < (map->count + 1) * 3) slot_count *= 2;
    ensure(slot_count / 2 < UINT32_MAX / 2);
    struct map_entry *entries = xmalloc(slot_count / 2 * sizeof *entries);
    size_t n = 0;
    for (size_t i = 0; i < map->entry_count; i++)
        if (map->entries[i].value != NULL) entries[n++] = map->entries[i];
    free(map->entries);
    free(map->slots);
    map->entries = entries;
    map->entry_count = n;
    map->slot_count = slot_count;
    map->slots = xcalloc(slot_count, sizeof *map->slots);
    for (size_t i = 0; i < n; i++) place(map, (uint32_t)i);
}

static void *put(struct map *map, uint64_t hash, struct str key, bool is_bytes, void *value)
{
    ensure(value != NULL);
    ptrdiff_t at = find(map, hash, key, is_bytes);
    if (at >= 0) {
        struct map_entry *e = &map->entries[map->slots[at] - 1];
        void *old = e->value;
        e->value = value;
        return old;
    }
    if (map->entry_count + 1 > map->slot_count / 2) rebuild(map);
    char *copy = NULL;
    if (is_bytes) copy = str_dup_c(key);
    map->entries[map->entry_count] = (struct map_entry){value, hash, copy, key.size};
    /* a slot marked GONE is not reused: rebuild clears them, and entry_count bounds the used ones */
    size_t mask = map->slot_count - 1, i = mix(hash) & mask;
    while (map->slots[i] != 0) i = (i + 1) & mask;
    map->slots[i] = (uint32_t)++map->entry_count;
    map->count++;
    return NULL;
}

static void *take(struct map *map, uint64_t hash, struct str key, bool is_bytes)
{
    ptrdiff_t at = find(map, hash, key, is_bytes);
    if (at < 0) return NULL;
    struct map_entry *e = &map->entries[map->slots[at] - 1];
    void *old = e->value;
    free(e->key);
    e->value = NULL;
    e->key = NULL;
    map->slots[at] = GONE;
    map->count--;
    return old;
}

void map_fini(struct map *map)
{
    for (size_t i = 0; i < map->entry_count; i++) free(map->entries[i].key);
    free(map->entries);
    free(map->slots);
    *map = (struct map){0};
}

void *map_get(const struct map *map, struct str key)
{
    ptrdiff_t at = find(map, str_hash(key), key, true);
    return at >= 0 ? map->entries[map->slots[at] - 1].value : NULL;
}

void *map_put(struct map *map, struct str key, void *value) { return put(map, str_hash(key), key, true, value); }
void *map_remove(struct map *map, struct str key) { return take(map, str_hash(key), key, true); }

void *map_next(const struct map *map, size_t *at, struct str *key)
{
    while (*at < map->entry_count) {
        const struct map_entry *e = &map->entries[(*at)++];
        if (e->value == NULL) continue;
        if (key != NULL) *key = (struct str){e->key, e->key_size};
        return e->value;
    }
    return NULL;
}

void map_u64_fini(struct map_u64 *map) { map_fini(&map->map); }

void *map_u64_get(const struct map_u64 *map, uint64_t key)
{
    ptrdiff_t at = find(&map->map, key, STR_EMPTY, false);
    return at >= 0 ? map->map.entries[map->map.slots[at] - 1].value : NULL;
}

void *map_u64_put(struct map_u64 *map, uint64_t key, void *value) { return put(&map->map, key, STR_EMPTY, false, value); }
void *map_u64_remove(struct map_u64 *map, uint64_t key) { return take(&map->map, key, STR_EMPTY, false); }

void *map_u64_next(const struct map_u64 *map, size_t *at, uint64_t *key)
{
    while (*at < map->map.entry_count) {
        const struct map_entry *e = &map->map.entries[(*at)++];
        if (e->value == NULL) continue;
        if (key != NULL) *key = e->hash;
        return e->value;
    }
    return NULL;
}
