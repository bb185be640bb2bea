#include "base/tz.h"

#include <limits.h>

enum { DAY_S = 86400, TYPE_MAX = 256, CHANGE_MAX = 20000, OFFSET_MAX = 26 * 3600 };

/* A day of the year on which the clocks change, in the form of a POSIX TZ text. */
struct tz_day {
    enum { DAY_JULIAN, DAY_ZERO, DAY_MONTH } kind; /* Jn: without leap days; n: with them; Mm.w.d */
    int month, week, day;
    int32_t time; /* seconds after midnight by the clock before the change */
};
struct tz {
    const int64_t *changes;
    const int32_t *offsets; /* from changes[i] on */
    size_t count;
    int32_t first_offset;   /* before the first change */
    bool has_rule, has_summer;
    int32_t standard, summer;
    struct tz_day to_summer, to_standard;
};

/* ---- dates: by 400-year eras that begin in March ---- */

int64_t civil_days(int64_t year, int month, int day)
{
    int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1, doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

struct civil_date civil_date_of(int64_t days)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    struct civil_date d = {.month = (int)(mp < 10 ? mp + 3 : mp - 9), .day = (int)(doy - (153 * mp + 2) / 5 + 1)};
    d.year = yoe + era * 400 + (d.month <= 2);
    return d;
}

/* ---- the footer: a POSIX TZ text such as "CET-1CEST,M3.5.0,M10.5.0/3" ---- */

static bool take(struct str *s, char c)
{
    if (s->size == 0 || s->data[0] != c) return false;
    *s = str_skip(*s, 1);
    return true;
}

static bool take_number(struct str *s, int max, int *out)
{
    int n = 0;
    size_t digits = 0;
    for (; s->size != 0 && s->data[0] >= '0' && s->data[0] <= '9' && digits < 4; *s = str_skip(*s, 1), digits++) n = n * 10 + (s->data[0] - '0');
    *out = n;
    return digits != 0 && n <= max;
}

static bool take_name(struct str *s)
{
    size_t n = 0;
    if (take(s, '<')) {
        while (n < s->size && s->data[n] != '>') n++;
        if (n == s->size) return false;
        *s = str_skip(*s, n + 1);
    } else {
        while (n < s->size && ((s->data[n] | 32) >= 'a' && (s->data[n] | 32) <= 'z')) n++;
        *s = str_skip(*s, n);
    }
    return n != 0;
}

static bool take_time(struct str *s, int hours_max, int32_t *out)
{
    bool is_negative = take(s, '-');
    if (!is_negative) take(s, '+');
    int h, m = 0, sec = 0;
    if (!take_number(s, hours_max, &h)) return false;
    if (take(s, ':') && (!take_number(s, 59, &m) || (take(s, ':') && !take_number(s, 59, &sec)))) return false;
    int32_t t = h * 3600 + m * 60 + sec;
    *out = is_negative ? -t : t;
    return true;
}

static bool take_day(struct str *s, struct tz_day *day)
{
    *day = (struct tz_day){.kind = DAY_ZERO, .time = 7200};
    if (!take(s, ',')) return false;
    if (take(s, 'M')) {
        day->kind = DAY_MONTH;
        if (!take_number(s, 12, &day->month) || day->month == 0 || !take(s, '.') || !take_number(s, 5, &day->week) || day->week == 0 || !take(s, '.') ||
            !take_number(s, 6, &day->day))
            return false;
    } else {
        if (take(s, 'J')) day->kind = DAY_JULIAN;
        if (!take_number(s, 365, &day->day) || (day->kind == DAY_JULIAN && day->day == 0)) return false;
    }
    return !take(s, '/') || take_time(s, 167, &day->time);
}

static bool parse_rule(struct str s, struct tz *tz)
{
    if (s.size == 0) return true; /* no rule: the last change holds for ever */
    int32_t west;
    if (!take_name(&s) || !take_time(&s, 24, &west)) return false;
    tz->has_rule = true;
    tz->standard = -west;
    if (s.size == 0) return true;
    tz->has_summer = true;
    if (!take_name(&s)) return false;
    tz->summer = tz->standard + 3600;
    if (s.size != 0 && s.data[0] != ',') {
        if (!take_time(&s, 24, &west)) return false;
        tz->summer = -west;
    }
    return take_day(&s, &tz->to_summer) && take_day(&s, &tz->to_standard) && s.size == 0;
}

/* Midnight, as days since 1970, of the day in that year. */
static int64_t rule_day(const struct tz_day *d, int64_t year)
{
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    int64_t first = civil_days(year, 1, 1);
    if (d->kind == DAY_ZERO) return first + d->day;
    if (d->kind == DAY_JULIAN) return first + d->day - 1 + (is_leap && d->day >= 60);
    int64_t begin = civil_days(year, d->month, 1), end = d->month == 12 ? civil_days(year + 1, 1, 1) : civil_days(year, d->month + 1, 1);
    int64_t day = begin + (d->day - civil_weekday(begin) + 7) % 7 + 7 * (d->week - 1);
    return day < end ? day : day - 7;
}

/* The changes of three years around t, of which one is the last at or before it. */
static int32_t rule_offset(const struct tz *tz, int64_t t, int64_t *end)
{
    *end = INT64_MAX;
    if (!tz->has_summer) return tz->standard;
    int64_t day = t >= 0 ? t / DAY_S : (t - DAY_S + 1) / DAY_S, year = civil_date_of(day).year, last = INT64_MIN;
    int32_t offset = tz->standard;
    for (int64_t y = year - 1; y <= year + 1; y++) {
        int64_t summer = rule_day(&tz->to_summer, y) * DAY_S + tz->to_summer.time - tz->standard;
        int64_t standard = rule_day(&tz->to_standard, y) * DAY_S + tz->to_standard.time - tz->summer;
        if (summer <= t && summer >= last) last = summer, offset = tz->summer;
        if (standard <= t && standard > last) last = standard, offset = tz->standard;
        if (summer > t && summer < *end) *end = summer;
        if (standard > t && standard < *end) *end = standard;
    }
    return offset;
}

/* ---- the file ----
 *  0  "TZif"   4 version   5 unused   20 six counts of 4 bytes: UT/local, standard/wall, leap seconds, changes, types, name bytes
 * 44  changes (4 bytes each, 8 in the second block), a type index for each, types (6: offset, is summer, name index), names, leap seconds, flags */

struct header { uint8_t version; size_t uts, standards, leaps, changes, types, names; };

static uint64_t big_endian(const char *p, size_t size)
{
    uint64_t n = 0;
    for (size_t i = 0; i < size; i++) n = n << 8 | (uint8_t)p[i];
    return n;
}

static bool read_header(struct str bytes, struct header *h)
{
    if (bytes.size < 44 || memcmp(bytes.data, "TZif", 4) != 0) return false;
    h->version = (uint8_t)bytes.data[4];
    size_t *const counts[6] = {&h->uts, &h->standards, &h->leaps, &h->changes, &h->types, &h->names};
    for (size_t i = 0; i < 6; i++) {
        *counts[i] = (size_t)big_endian(bytes.data + 20 + 4 * i, 4);
        if (*counts[i] > CHANGE_MAX) return false;
    }
    return h->types != 0 && h->types <= TYPE_MAX;
}

static size_t body_size(const struct header *h, size_t time_size)
{
    return h->changes * (time_size + 1) + h->types * 6 + h->names + h->leaps * (time_size + 4) + h->standards + h->uts;
}

static bool read_body(struct str body, const struct header *h, size_t time_size, struct arena *arena, struct tz *tz)
{
    const char *indexes = body.data + h->changes * time_size, *types = indexes + h->changes;
    int32_t by_type[TYPE_MAX];
    for (size_t i = 0; i < h->types; i++) {
        by_type[i] = (int32_t)(uint32_t)big_endian(types + 6 * i, 4);
        if (by_type[i] < -OFFSET_MAX || by_type[i] > OFFSET_MAX) return false;
    }
    int64_t *changes = arena_array(arena, int64_t, h->changes);
    int32_t *offsets = arena_array(arena, int32_t, h->changes);
    for (size_t i = 0; i < h->changes; i++) {
        uint64_t raw = big_endian(body.data + i * time_size, time_size);
        changes[i] = time_size == 4 ? (int32_t)(uint32_t)raw : (int64_t)raw;
        if ((uint8_t)indexes[i] >= h->types || (i > 0 && changes[i] <= changes[i - 1])) return false;
        offsets[i] = by_type[(uint8_t)indexes[i]];
    }
    tz->changes = changes;
    tz->offsets = offsets;
    tz->count = h->changes;
    tz->first_offset = by_type[0];
    return true;
}

static bool parse(struct str bytes, struct arena *arena, struct tz *tz)
{
    struct header h;
    if (bytes.size > TZ_BYTES_MAX || !read_header(bytes, &h)) return false;
    size_t size = body_size(&h, 4);
    if (size > bytes.size - 44) return false;
    if (h.version < '2') return read_body(str_skip(bytes, 44), &h, 4, arena, tz);
    bytes = str_skip(bytes, 44 + size);
    if (!read_header(bytes, &h)) return false;
    size = body_size(&h, 8);
    if (size > bytes.size - 44 || !read_body(str_skip(bytes, 44), &h, 8, arena, tz)) return false;
    bytes = str_skip(bytes, 44 + size);
    if (!take(&bytes, '\n')) return false;
    const char *end = bytes.size != 0 ? memchr(bytes.data, '\n', bytes.size) : NULL;
    return end != NULL && parse_rule((struct str){bytes.data, (size_t)(end - bytes.data)}, tz);
}

err tz_parse(struct str bytes, struct arena *arena, struct tz **out)
{
    struct tz *tz = arena_new(arena, struct tz);
    if (!parse(bytes, arena, tz)) return ERR_INVALID;
    *out = tz;
    return ERR_NONE;
}

int32_t tz_offset(const struct tz *tz, int64_t t, int64_t *end)
{
    *end = INT64_MAX;
    if (tz == NULL) return 0;
    size_t low = 0, high = tz->count; /* the number of changes at or before t */
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (tz->changes[middle] <= t) low = middle + 1;
        else high = middle;
    }
    if (low == tz->count && tz->has_rule) return rule_offset(tz, t, end);
    if (low < tz->count) *end = tz->changes[low];
    return low == 0 ? tz->first_offset : tz->offsets[low - 1];
}
