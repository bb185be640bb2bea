#include "visibility/time_text.h"

#include <ctype.h>
#include <stdio.h>

struct cursor { const char *at, *end; };

/* Exactly `width` digits. */
static bool take_digits(struct cursor *c, int width, int *out)
{
    int value = 0;
    for (int i = 0; i < width; i++) {
        if (c->at == c->end || !isdigit((unsigned char)*c->at)) return false;
        value = value * 10 + (*c->at++ - '0');
    }
    *out = value;
    return true;
}

static bool take(struct cursor *c, char expected)
{
    if (c->at == c->end || *c->at != expected) return false;
    c->at++;
    return true;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar. */
static int64_t days_of(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t in_era = y - era * 400;
    int64_t in_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

static bool is_leap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

static int month_days(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Digits behind the point as ns; more than nine are dropped. */
static bool take_fraction(struct cursor *c, int64_t *ns)
{
    *ns = 0;
    if (!take(c, '.')) return true;
    if (c->at == c->end || !isdigit((unsigned char)*c->at)) return false;
    int64_t scale = NS_PER_S;
    for (; c->at != c->end && isdigit((unsigned char)*c->at); c->at++) {
        scale /= 10;
        *ns += (*c->at - '0') * scale;
    }
    return true;
}

static bool take_zone(struct cursor *c, int64_t *offset_s)
{
    *offset_s = 0;
    if (take(c, 'Z')) return true;
    int sign = take(c, '+') ? 1 : take(c, '-') ? -1 : 0, hours, minutes;
    if (sign == 0 || !take_digits(c, 2, &hours) || !take(c, ':') || !take_digits(c, 2, &minutes) || hours > 23 || minutes > 59) return false;
    *offset_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool time_text_parse(struct str text, instant *out)
{
    struct cursor c = {text.data, text.data + text.size};
    int year, month, day, hour, minute, second;
    int64_t ns, offset_s, all;
    if (!take_digits(&c, 4, &year) || !take(&c, '-') || !take_digits(&c, 2, &month) || !take(&c, '-') || !take_digits(&c, 2, &day)) return false;
    if (month < 1 || month > 12 || day < 1 || day > month_days(year, month)) return false;
    if (!take(&c, 'T') || !take_digits(&c, 2, &hour) || !take(&c, ':') || !take_digits(&c, 2, &minute) || !take(&c, ':') ||
        !take_digits(&c, 2, &second)) return false;
    if (hour > 23 || minute > 59 || second > 59) return false;
    if (!take_fraction(&c, &ns) || !take_zone(&c, &offset_s) || c.at != c.end) return false;
    int64_t s = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset_s;
    if (__builtin_mul_overflow(s, NS_PER_S, &all) || __builtin_add_overflow(all, ns, &all)) all = s < 0 ? INT64_MIN : INT64_MAX;
    *out = (instant){all};
    return true;
}

static void date_of(int64_t days, int *year, int *month, int *day) /* the way back from days_of */
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t in_era = days - era * 146097;
    int64_t year_of_era = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * in_year + 2) / 153;
    *day = (int)(in_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

struct str time_text_print(instant t, struct arena *arena)
{
    int64_t s = t.ns / NS_PER_S, ns = t.ns % NS_PER_S;
    if (ns < 0) {
        ns += NS_PER_S;
        s--;
    }
    int64_t days = s / 86400, in_day = s % 86400;
    if (in_day < 0) {
        in_day += 86400;
        days--;
    }
    int year, month, day;
    date_of(days, &year, &month, &day);
    char fraction[16] = "";
    if (ns != 0) {
        int size = snprintf(fraction, sizeof(fraction), ".%09d", (int)ns);
        while (size > 1 && fraction[size - 1] == '0') fraction[--size] = '\0';
    }
    return arena_printf(arena, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", year, month, day, (int)(in_day / 3600), (int)(in_day / 60 % 60), (int)(in_day % 60), fraction);
}

/* ---- spans ---- */

static bool take_unit(struct cursor *c, int64_t *ns)
{
    static const struct { const char *name; int64_t ns; } units[] = { /* longer names before what they begin with */
        {"ns", 1}, {"us", 1000}, {"\xc2\xb5s", 1000}, {"ms", NS_PER_MS}, {"s", NS_PER_S}, {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S}, {"d", 86400 * NS_PER_S},
    };
    for (size_t i = 0; i < countof(units); i++) {
        struct str name = str_of(units[i].name);
        if (!str_starts_with(str_make(c->at, (size_t)(c->end - c->at)), name)) continue;
        c->at += name.size;
        *ns = units[i].ns;
        return true;
    }
    return false;
}

/* A number with an optional fraction, then a unit. */
static bool take_part(struct cursor *c, int64_t *out)
{
    int64_t whole = 0, unit, ns;
    double fraction = 0, scale = 1;
    bool has_digit = false;
    for (; c->at != c->end && isdigit((unsigned char)*c->at); c->at++, has_digit = true) {
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, *c->at - '0', &whole)) return false;
    }
    if (take(c, '.')) {
        for (; c->at != c->end && isdigit((unsigned char)*c->at); c->at++, has_digit = true) fraction += (*c->at - '0') * (scale /= 10);
    }
    if (!has_digit || !take_unit(c, &unit)) return false;
    if (__builtin_mul_overflow(whole, unit, &ns)) return false;
    return !__builtin_add_overflow(ns, (int64_t)(fraction * (double)unit + 0.5), out);
}

static bool parse_clock(struct cursor c, int64_t *ns) /* hh:mm:ss */
{
    int64_t hours = 0;
    int minutes, seconds;
    if (c.at == c.end || !isdigit((unsigned char)*c.at)) return false;
    for (int i = 0; c.at != c.end && isdigit((unsigned char)*c.at); c.at++, i++) {
        if (i == 6) return false;
        hours = hours * 10 + (*c.at - '0');
    }
    if (!take(&c, ':') || !take_digits(&c, 2, &minutes) || !take(&c, ':') || !take_digits(&c, 2, &seconds) || c.at != c.end) return false;
    if (minutes > 59 || seconds > 59) return false;
    *ns = (hours * 3600 + minutes * 60 + seconds) * NS_PER_S;
    return true;
}

static bool parse_number(struct cursor c, int64_t *ns)
{
    *ns = 0;
    if (c.at == c.end) return false;
    for (; c.at != c.end; c.at++) {
        if (!isdigit((unsigned char)*c.at) || __builtin_mul_overflow(*ns, 10, ns) || __builtin_add_overflow(*ns, *c.at - '0', ns)) return false;
    }
    return true;
}

static bool parse_parts(struct cursor c, int64_t *ns)
{
    *ns = 0;
    if (c.at == c.end) return false;
    while (c.at != c.end) {
        int64_t part;
        if (!take_part(&c, &part) || __builtin_add_overflow(*ns, part, ns)) return false;
    }
    return true;
}

bool span_text_parse(struct str text, duration *out)
{
    struct cursor c = {text.data, text.data + text.size};
    bool is_negative = take(&c, '-');
    if (!is_negative) (void)take(&c, '+');
    int64_t ns;
    if (!parse_number(c, &ns) && !parse_clock(c, &ns) && !parse_parts(c, &ns)) return false;
    *out = (duration){is_negative ? -ns : ns};
    return true;
}
