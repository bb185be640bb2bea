#include "base/prng.h"

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void prng_init(struct prng *prng, uint64_t seed)
{
    for (int i = 0; i < 4; i++) prng->s[i] = splitmix(&seed);
}

static uint64_t rotate(uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->s, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

uint64_t prng_below(struct prng *prng, uint64_t bound)
{
    ensure(bound > 0);
    return (uint64_t)(((unsigned __int128)prng_next(prng) * bound) >> 64);
}

static void uuid_text(const uint64_t w[2], unsigned version, char out[37])
{
    static const char hex[] = "0123456789abcdef";
    char *p = out;
    for (int i = 0; i < 32; i++) {
        unsigned nibble = (unsigned)(w[i / 16] >> (4 * (i % 16))) & 15u;
        if (i == 12) nibble = version;
        if (i == 16) nibble = 8 | (nibble & 3);
        if (i == 8 || i == 12 || i == 16 || i == 20) *p++ = '-';
        *p++ = hex[nibble];
    }
    *p = '\0';
}

void prng_uuid(struct prng *prng, char out[37])
{
    uint64_t w[2] = {prng_next(prng), prng_next(prng)};
    uuid_text(w, 4, out);
}

void prng_uuid_at(struct prng *prng, instant now, char out[37])
{
    uint64_t ms = now.ns > 0 ? (uint64_t)(now.ns / NS_PER_MS) : 0, w[2] = {prng_next(prng), prng_next(prng)};
    w[0] &= ~UINT64_C(0xffffffffffff);
    for (int i = 0; i < 12; i++) w[0] |= (ms >> (4 * (11 - i)) & 15u) << (4 * i); /* its text begins with the milliseconds */
    uuid_text(w, 7, out);
}

bool uuid_is_valid(struct str text)
{
    if (text.size != 36) return false;
    for (size_t i = 0; i < 36; i++) {
        char c = text.data[i];
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (is_dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))) return false;
    }
    return true;
}
