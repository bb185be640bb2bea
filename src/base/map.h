/* base/map.h: hash maps from bytes, or from a 64-bit number, to a pointer. Walked in insertion order (removals keep
 * the order of the rest), so that a walk repeats. Zero-initialised is empty. NULL values are not stored.
 *
 * struct map      keys are copied in
 * struct map_u64  keys are numbers
 * During a walk the current entry may be removed, others not; nothing may be added. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

struct map_entry;
struct map {
    struct map_entry *entries; /* insertion order, with holes */
    uint32_t *slots;           /* open addressing: index + 1 into entries, 0 = free, UINT32_MAX = was used */
    size_t count, entry_count, slot_count;
};
struct map_u64 { struct map map; };

void map_fini(struct map *map); /* leaves it empty and usable; values are the caller's */
static inline size_t map_count(const struct map *map) { return map->count; }
void *map_get(const struct map *map, struct str key);
/* Returns the value that was there, or NULL. */
void *map_put(struct map *map, struct str key, void *value);
void *map_remove(struct map *map, struct str key);
/* for (size_t at = 0; (value = map_next(map, &at, &key)) != NULL;) … ; key may be NULL */
void *map_next(const struct map *map, size_t *at, struct str *key);

void map_u64_fini(struct map_u64 *map);
static inline size_t map_u64_count(const struct map_u64 *map) { return map->map.count; }
void *map_u64_get(const struct map_u64 *map, uint64_t key);
void *map_u64_put(struct map_u64 *map, uint64_t key, void *value);
void *map_u64_remove(struct map_u64 *map, uint64_t key);
void *map_u64_next(const struct map_u64 *map, size_t *at, uint64_t *key);

#endif
