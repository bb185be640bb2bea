/* base/prng.h: seeded randomness (xoshiro256**). The same seed gives the same numbers for ever. Not for secrets. */
#ifndef BASE_PRNG_H
#define BASE_PRNG_H

#include "base/instant.h"
#include "base/str.h"

struct prng { uint64_t s[4]; };

void prng_init(struct prng *prng, uint64_t seed);
uint64_t prng_next(struct prng *prng);
uint64_t prng_below(struct prng *prng, uint64_t bound); /* 0 … bound-1; bound > 0 */
static inline bool prng_chance(struct prng *prng, uint32_t one_in) { return prng_below(prng, one_in) == 0; }

/* A version 4 UUID as 36 characters and a NUL. */
void prng_uuid(struct prng *prng, char out[37]);
/* A version 7 UUID (RFC 9562): begins with the milliseconds of `now`, so that later ones sort behind. */
void prng_uuid_at(struct prng *prng, instant now, char out[37]);
/* Whether it has a UUID's form, of any version. */
bool uuid_is_valid(struct str text);

#endif
