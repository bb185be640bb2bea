#include "history/cron.h"

#include <strings.h>

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400, SEARCH_YEARS = 5 };

/* ---- parsing ---- */

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
struct field { int least, most; const char *const *names; int name_count; };
static const struct field fields[5] = {{0, 59, NULL, 0}, {0, 23, NULL, 0}, {1, 31, NULL, 0}, {1, 12, month_names, 12}, {0, 6, day_names, 7}};

static struct str cut(struct str *text, char at)
{
    const char *end = text->size != 0 ? memchr(text->data, at, text->size) : NULL;
    struct str head = {text->data, end != NULL ? (size_t)(end - text->data) : text->size};
    *text = str_skip(*text, head.size + (end != NULL));
    return head;
}

static bool parse_number(struct str s, int *out)
{
    if (s.size == 0 || s.size > 6) return false;
    int n = 0;
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') return false;
        n = n * 10 + (s.data[i] - '0');
    }
    *out = n;
    return true;
}

static bool parse_value(struct str s, const struct field *f, int *out)
{
    for (int i = 0; i < f->name_count; i++)
        if (s.size == 3 && strncasecmp(s.data, f->names[i], 3) == 0) {
            *out = i + f->least;
            return true;
        }
    return parse_number(s, out) && *out >= f->least && *out <= f->most;
}

/* One part of a list: "*", "5", "1-5", each maybe with "/2"; "5/2" runs to the end. */
static bool parse_part(struct str part, const struct field *f, uint64_t *bits, bool *is_any)
{
    int step = 1, from = f->least, to = f->most;
    bool has_step = memchr(part.data, '/', part.size) != NULL;
    struct str range = cut(&part, '/');
    if (has_step && (!parse_number(part, &step) || step == 0)) return false;
    if (str_equal_c(range, "*") || str_equal_c(range, "?")) {
        *is_any = step == 1;
    } else {
        bool has_end = memchr(range.data, '-', range.size) != NULL;
        struct str first = cut(&range, '-');
        if (!parse_value(first, f, &from)) return false;
        if (has_end ? !parse_value(range, f, &to) : false) return false;
        if (!has_end && !has_step) to = from;
    }
    if (from > to) return false;
    for (int v = from; v <= to; v += step) *bits |= UINT64_C(1) << v;
    return true;
}

static bool parse_field(struct str text, const struct field *f, uint64_t *bits, bool *is_any)
{
    *bits = 0;
    *is_any = false;
    do {
        struct str part = cut(&text, ',');
        if (part.size == 0 || !parse_part(part, f, bits, is_any)) return false;
    } while (text.size != 0);
    return true;
}

/* "1h30m", "90s", "1.5h": a number and a unit, several times. */
static bool parse_every(struct str s, duration *out)
{
    double total = 0;
    if (s.size == 0 || s.size > 32) return false;
    while (s.size != 0) {
        double n = 0, scale = 1;
        size_t digits = 0;
        bool is_fraction = false;
        for (; s.size != 0 && ((s.data[0] >= '0' && s.data[0] <= '9') || (s.data[0] == '.' && !is_fraction)); s = str_skip(s, 1)) {
            if (s.data[0] == '.') is_fraction = true;
            else {
                n = n * 10 + (s.data[0] - '0');
                if (is_fraction) scale *= 10;
                digits++;
            }
        }
        double unit = str_starts_with(s, STR("ms")) ? 0.001 : s.size == 0 ? 0 : s.data[0] == 'h' ? 3600 : s.data[0] == 'm' ? 60 : s.data[0] == 's' ? 1 : 0;
        if (digits == 0 || unit == 0) return false;
        s = str_skip(s, unit == 0.001 ? 2 : 1);
        total += n / scale * unit;
    }
    if (total > 1e9) return false;
    int64_t seconds = (int64_t)total;
    *out = duration_s(seconds < 1 ? 1 : seconds);
    return true;
}

static bool parse_word(struct str word, struct cron *cron)
{
    static const struct { const char *word, *fields; } words[] = {
        {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
        {"@daily", "0 0 * * *"}, {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"}};
    struct str every = STR("@every ");
    if (str_starts_with(word, every)) return parse_every(str_skip(word, every.size), &cron->every);
    for (size_t i = 0; i < countof(words); i++)
        if (str_equal_c(word, words[i].word)) return cron_parse(str_of(words[i].fields), cron);
    return false;
}

static struct str trim(struct str s)
{
    while (s.size != 0 && (s.data[0] == ' ' || s.data[0] == '\t')) s = str_skip(s, 1);
    while (s.size != 0 && (s.data[s.size - 1] == ' ' || s.data[s.size - 1] == '\t')) s.size--;
    return s;
}

/* "UTC" is the zone of those that name none. */
static void cut_zone(struct str *text, struct str *zone)
{
    static const char *const prefixes[] = {"CRON_TZ=", "TZ="};
    for (size_t i = 0; i < countof(prefixes); i++) {
        struct str prefix = str_of(prefixes[i]);
        if (!str_starts_with(*text, prefix)) continue;
        *text = str_skip(*text, prefix.size);
        *zone = cut(text, ' ');
        *text = trim(*text);
        if (str_equal_c(*zone, "UTC") || str_equal_c(*zone, "Etc/UTC")) *zone = STR_EMPTY;
        return;
    }
}

bool cron_parse(struct str text, struct cron *cron)
{
    *cron = (struct cron){0};
    text = trim(text);
    struct str zone = STR_EMPTY;
    cut_zone(&text, &zone);
    if (text.size == 0 || text.size > 1000) return false;
    if (text.data[0] == '@') {
        bool is_good = parse_word(text, cron);
        cron->zone = zone;
        return is_good;
    }
    cron->zone = zone;
    uint64_t *const bits[5] = {&cron->minutes, &cron->hours, &cron->days, &cron->months, &cron->weekdays};
    bool is_any[5];
    for (int i = 0; i < 5; i++) {
        if (text.size == 0 || !parse_field(cut(&text, ' '), &fields[i], bits[i], &is_any[i])) return false;
        text = trim(text);
    }
    cron->is_any_day = is_any[2];
    cron->is_any_weekday = is_any[4];
    return text.size == 0;
}

/* ---- ticks ---- */

static bool has(uint64_t bits, int64_t n) { return (bits >> n & 1) != 0; }

/* Days of the local calendar. */
static bool day_matches(const struct cron *c, int64_t day)
{
    struct civil_date d = civil_date_of(day);
    bool by_day = has(c->days, d.day), by_weekday = has(c->weekdays, civil_weekday(day));
    if (!has(c->months, d.month)) return false;
    return c->is_any_day || c->is_any_weekday ? by_day && by_weekday : by_day || by_weekday;
}

/* How far from local time t it is to the next minute that may match; 0: this one does. */
static int64_t to_next(const struct cron *c, int64_t local)
{
    int64_t day = (local - (local % DAY_S + DAY_S) % DAY_S) / DAY_S, second = local - day * DAY_S;
    if (!day_matches(c, day)) return DAY_S - second;
    if (!has(c->hours, second / HOUR_S)) return HOUR_S - second % HOUR_S;
    if (!has(c->minutes, second % HOUR_S / MINUTE_S) || second % MINUTE_S != 0) return MINUTE_S - second % MINUTE_S;
    return 0;
}

/* Steps stay within one offset from UTC: what is skipped when clocks go forward never comes, what comes twice when they go back ticks twice. */
instant cron_next(const struct cron *c, const struct tz *tz, instant t)
{
    int64_t now = t.ns / NS_PER_S;
    if (c->every.ns != 0) return (instant){(now + c->every.ns / NS_PER_S) * NS_PER_S};
    int64_t at = now + 1, last = now + INT64_C(366) * DAY_S * SEARCH_YEARS;
    while (at <= last) {
        int64_t end, offset = tz_offset(tz, at, &end), step = to_next(c, at + offset);
        if (step == 0) return (instant){at * NS_PER_S};
        at = end - at < step ? end : at + step;
    }
    return INSTANT_NEVER;
}

duration cron_backoff(const struct cron *c, const struct tz *tz, instant from, instant now)
{
    instant next;
    if (c->every.ns != 0) {
        int64_t begin = from.ns / NS_PER_S * NS_PER_S, passed = now.ns >= begin ? (now.ns - begin) / c->every.ns : 0;
        next = (instant){begin + (passed + 1) * c->every.ns};
    } else {
        next = cron_next(c, tz, instant_max(from, now));
    }
    if (next.ns == INSTANT_NEVER.ns) return duration_s(-1);
    return duration_s((next.ns - now.ns + NS_PER_S - 1) / NS_PER_S);
}
