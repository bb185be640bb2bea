#include "proto/pb_json.h"

#include <stdio.h>

static const int64_t FIRST_SECOND = INT64_C(-62135596800), LAST_SECOND = INT64_C(253402300799), SPAN_MAX = INT64_C(315576000000);

/* Days since 1970-01-01 of a date in the Gregorian calendar; years are counted from March so that the leap day is last. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, in_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + day_of_year - 719468;
}

static void date_of(int64_t days, int *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, in_era = days - era * 146097;
    int64_t years = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    int64_t day_of_year = in_era - (365 * years + years / 4 - years / 100), shifted = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = (int)(years + era * 400 + (*month <= 2));
}

/* A fraction of a second in 3, 6 or 9 digits, or nothing. */
static int put_fraction(char *to, int32_t nanos)
{
    if (nanos == 0) return 0;
    if (nanos % 1000000 == 0) return sprintf(to, ".%03d", (int)(nanos / 1000000));
    if (nanos % 1000 == 0) return sprintf(to, ".%06d", (int)(nanos / 1000));
    return sprintf(to, ".%09d", (int)nanos);
}

bool pb_format_timestamp(int64_t seconds, int32_t nanos, char out[static 40])
{
    if (seconds < FIRST_SECOND || seconds > LAST_SECOND || nanos < 0 || nanos >= NS_PER_S) return false;
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days -= 1;
    }
    int year, month, day;
    date_of(days, &year, &month, &day);
    int size = sprintf(out, "%04d-%02d-%02dT%02d:%02d:%02d", year, month, day, (int)(rest / 3600), (int)(rest / 60 % 60), (int)(rest % 60));
    size += put_fraction(out + size, nanos);
    strcpy(out + size, "Z");
    return true;
}

bool pb_format_duration(int64_t seconds, int32_t nanos, char out[static 40])
{
    if (seconds > SPAN_MAX || seconds < -SPAN_MAX || nanos <= -NS_PER_S || nanos >= NS_PER_S) return false;
    if ((seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0)) return false;
    bool is_negative = seconds < 0 || nanos < 0;
    int size = sprintf(out, "%s%" PRId64, is_negative ? "-" : "", is_negative ? -seconds : seconds);
    size += put_fraction(out + size, is_negative ? -nanos : nanos);
    strcpy(out + size, "s");
    return true;
}

/* Exactly `width` digits, from *at on. */
static bool read_digits(struct str s, size_t *at, int width, int *out)
{
    int value = 0;
    for (int i = 0; i < width; i++, (*at)++) {
        if (*at >= s.size || s.data[*at] < '0' || s.data[*at] > '9') return false;
        value = value * 10 + (s.data[*at] - '0');
    }
    *out = value;
    return true;
}

static bool read_char(struct str s, size_t *at, char c)
{
    if (*at >= s.size || s.data[*at] != c) return false;
    (*at)++;
    return true;
}

/* An optional ".digits", up to nine of them. */
static bool read_fraction(struct str s, size_t *at, int32_t *nanos)
{
    *nanos = 0;
    if (!read_char(s, at, '.')) return true;
    int32_t unit = 100000000;
    size_t first = *at;
    for (; *at < s.size && s.data[*at] >= '0' && s.data[*at] <= '9'; (*at)++, unit /= 10) {
        if (unit == 0) return false;
        *nanos += (s.data[*at] - '0') * unit;
    }
    return *at > first;
}

static bool read_offset(struct str s, size_t *at, int64_t *seconds)
{
    *seconds = 0;
    if (read_char(s, at, 'Z') || read_char(s, at, 'z')) return true;
    bool is_west = read_char(s, at, '-');
    int hours, minutes;
    if (!is_west && !read_char(s, at, '+')) return false;
    if (!read_digits(s, at, 2, &hours) || !read_char(s, at, ':') || !read_digits(s, at, 2, &minutes)) return false;
    if (hours > 23 || minutes > 59) return false;
    *seconds = (hours * 60 + minutes) * (is_west ? -60 : 60);
    return true;
}

static int month_days(int year, int month)
{
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

bool pb_parse_timestamp(struct str s, int64_t *seconds, int32_t *nanos)
{
    size_t at = 0;
    int year, month, day, hour, minute, second;
    int32_t fraction;
    int64_t offset;
    if (!read_digits(s, &at, 4, &year) || !read_char(s, &at, '-') || !read_digits(s, &at, 2, &month) || !read_char(s, &at, '-') ||
        !read_digits(s, &at, 2, &day) || !(read_char(s, &at, 'T') || read_char(s, &at, 't')) || !read_digits(s, &at, 2, &hour) ||
        !read_char(s, &at, ':') || !read_digits(s, &at, 2, &minute) || !read_char(s, &at, ':') || !read_digits(s, &at, 2, &second) ||
        !read_fraction(s, &at, &fraction) || !read_offset(s, &at, &offset) || at != s.size) return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > month_days(year, month)) return false;
    if (hour > 23 || minute > 59 || second > 59) return false;
    int64_t total = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    if (total < FIRST_SECOND || total > LAST_SECOND) return false;
    *seconds = total;
    *nanos = fraction;
    return true;
}

bool pb_parse_duration(struct str s, int64_t *seconds, int32_t *nanos)
{
    size_t at = 0;
    int64_t whole = 0;
    int32_t fraction;
    bool is_negative = read_char(s, &at, '-');
    size_t first = at;
    for (; at < s.size && s.data[at] >= '0' && s.data[at] <= '9'; at++) {
        whole = whole * 10 + (s.data[at] - '0');
        if (whole > SPAN_MAX) return false;
    }
    if (at == first || !read_fraction(s, &at, &fraction) || !read_char(s, &at, 's') || at != s.size) return false;
    *seconds = is_negative ? -whole : whole;
    *nanos = is_negative ? -fraction : fraction;
    return true;
}
