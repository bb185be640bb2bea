/* Texts of a specification: the fields of a calendar, cron lines, and the words that begin with @. */
#include "schedule/spec.h"

#include <strings.h>

enum { TEXT_MAX = 1000 };

static const char *const month_names[] = {"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"};
static const char *const day_names[] = {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};

/* most: of what is written; 7 as a day of the week is Sunday. otherwise: the meaning of an empty text. */
struct field { const char *name; int least, most; const char *const *names; int name_count; const char *otherwise; };
enum { SECOND, MINUTE, HOUR, DAY, MONTH, YEAR, WEEKDAY, FIELD_COUNT_ };
static const struct field fields[FIELD_COUNT_] = {
    [SECOND] = {"second", 0, 59, NULL, 0, "0"}, [MINUTE] = {"minute", 0, 59, NULL, 0, "0"}, [HOUR] = {"hour", 0, 23, NULL, 0, "0"},
    [DAY] = {"day of month", 1, 31, NULL, 0, "*"}, [MONTH] = {"month", 1, 12, month_names, 12, "*"},
    [YEAR] = {"year", SPEC_YEAR_MIN, SPEC_YEAR_MAX, NULL, 0, "*"}, [WEEKDAY] = {"day of week", 0, 7, day_names, 7, "*"},
};

struct reader { struct arena *arena; struct error *error; };

static bool is_space(char c) { return c == ' ' || c == '\t'; }

static struct str trim(struct str s)
{
    while (s.size != 0 && is_space(s.data[0])) s = str_skip(s, 1);
    while (s.size != 0 && is_space(s.data[s.size - 1])) s.size--;
    return s;
}

static bool cut(struct str *text, char at, struct str *head)
{
    const char *end = text->size != 0 ? memchr(text->data, at, text->size) : NULL;
    *head = (struct str){text->data, end != NULL ? (size_t)(end - text->data) : text->size};
    *text = str_skip(*text, head->size + (end != NULL));
    return end != NULL;
}

static bool parse_number(struct str s, int64_t *out)
{
    int64_t n = 0;
    if (s.size == 0 || s.size > 10) return false;
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') return false;
        n = n * 10 + (s.data[i] - '0');
    }
    *out = n;
    return true;
}

/* A number, or a name or at least three of its letters. */
static bool parse_value(struct str s, const struct field *f, int *out)
{
    int64_t n;
    for (int i = 0; i < f->name_count; i++) {
        if (s.size < 3 || s.size > strlen(f->names[i]) || strncasecmp(s.data, f->names[i], s.size) != 0) continue;
        *out = i + f->least;
        return true;
    }
    if (!parse_number(s, &n) || n < f->least || n > f->most) return false;
    *out = (int)n;
    return true;
}

struct range { int from, to, step; };

/* "*", "5", "1-5", each maybe with "/2"; "5/2" runs to the end of the field. */
static bool parse_range(struct str part, const struct field *f, struct range *r)
{
    int most = f == &fields[WEEKDAY] ? 6 : f->most;
    *r = (struct range){f->least, most, 1};
    struct str range, first;
    int64_t step = 1;
    bool has_step = cut(&part, '/', &range);
    if (has_step && (!parse_number(trim(part), &step) || step == 0 || step > INT32_MAX)) return false;
    r->step = (int)step;
    range = trim(range);
    if (str_equal_c(range, "*") || str_equal_c(range, "?")) return true;
    bool has_end = cut(&range, '-', &first);
    if (!parse_value(trim(first), f, &r->from)) return false;
    if (has_end) {
        if (!parse_value(trim(range), f, &r->to)) return false;
    } else if (!has_step) {
        r->to = r->from;
    }
    return r->from <= r->to;
}

static void push(struct reader *in, pb_schedule_Range ***array, size_t *count, size_t *capacity, int from, int to, int step)
{
    pb_schedule_Range *range = pb_new(in->arena, pb_schedule_Range);
    range->start = from;
    range->end = to;
    range->step = step;
    *(pb_schedule_Range **)pb_grow(in->arena, (void **)array, count, capacity, sizeof *array) = range;
}

static err parse_field(struct reader *in, struct str text, int which, pb_schedule_Range ***array, size_t *count, size_t *capacity)
{
    const struct field *f = &fields[which];
    struct str whole = trim(text), part;
    if (whole.size == 0) whole = str_of(f->otherwise);
    if (whole.size > TEXT_MAX) return error_set(in->error, in->arena, ERR_INVALID, "the calendar's %s has more than %d bytes", f->name, TEXT_MAX);
    if (which == YEAR && str_equal_c(whole, "*")) return ERR_NONE; /* no range: every year */
    bool has_more;
    struct str rest = whole;
    do {
        struct range r;
        has_more = cut(&rest, ',', &part);
        if (!parse_range(trim(part), f, &r))
            return error_set(in->error, in->arena, ERR_INVALID, "\"%.*s\" is not a %s: expected numbers from %d to %d, ranges a-b, steps /n or *", STR_ARG(whole), f->name,
                             f->least, f->most);
        bool is_sunday = which == WEEKDAY && r.to == 7 && (7 - r.from) % r.step == 0;
        if (which == WEEKDAY && r.to == 7) r.to = 6;
        if (r.from <= r.to) push(in, array, count, capacity, r.from, r.to, r.step);
        if (is_sunday) push(in, array, count, capacity, 0, 0, 1);
    } while (has_more);
    return ERR_NONE;
}

#define FIELD(which, text, member) \
    TRY(parse_field(in, (text), (which), &c->member, &c->member##_count, &c->member##_capacity_))
static err parse_calendar(struct reader *in, const struct str text[FIELD_COUNT_], struct str comment, pb_schedule_StructuredCalendarSpec **out)
{
    pb_schedule_StructuredCalendarSpec *c = pb_new(in->arena, pb_schedule_StructuredCalendarSpec);
    FIELD(SECOND, text[SECOND], second);
    FIELD(MINUTE, text[MINUTE], minute);
    FIELD(HOUR, text[HOUR], hour);
    FIELD(DAY, text[DAY], day_of_month);
    FIELD(MONTH, text[MONTH], month);
    FIELD(YEAR, text[YEAR], year);
    FIELD(WEEKDAY, text[WEEKDAY], day_of_week);
    c->comment = comment;
    *out = c;
    return ERR_NONE;
}
#undef FIELD

static err calendar_of(struct reader *in, const pb_schedule_CalendarSpec *text, pb_schedule_StructuredCalendarSpec **out)
{
    const struct str texts[FIELD_COUNT_] = {[SECOND] = text->second, [MINUTE] = text->minute, [HOUR] = text->hour, [DAY] = text->day_of_month,
                                            [MONTH] = text->month, [YEAR] = text->year, [WEEKDAY] = text->day_of_week};
    return parse_calendar(in, texts, text->comment, out);
}

/* "90m", "1h30m", "2d": whole numbers with their units, in seconds. */
static bool parse_span(struct str s, int64_t *out)
{
    int64_t total = 0;
    s = trim(s);
    if (s.size == 0) return false;
    while (s.size != 0) {
        size_t digits = 0;
        int64_t n;
        while (digits < s.size && s.data[digits] >= '0' && s.data[digits] <= '9') digits++;
        if (digits == s.size || !parse_number((struct str){s.data, digits}, &n)) return false;
        char c = s.data[digits];
        int64_t unit = c == 's' ? 1 : c == 'm' ? 60 : c == 'h' ? 3600 : c == 'd' ? 86400 : 0;
        if (unit == 0 || __builtin_mul_overflow(n, unit, &n) || __builtin_add_overflow(total, n, &total)) return false;
        s = str_skip(s, digits + 1);
    }
    *out = total;
    return total <= DURATION_MAX.ns / NS_PER_S;
}

static err parse_every(struct reader *in, struct str text, pb_schedule_ScheduleSpec *out)
{
    struct str every;
    int64_t seconds, phase = 0;
    bool has_phase = cut(&text, '/', &every);
    if (!parse_span(every, &seconds) || (has_phase && !parse_span(text, &phase)))
        return error_set(in->error, in->arena, ERR_INVALID, "after @every comes a span such as 90m or 1d, maybe with a phase: 1d/6h");
    pb_schedule_IntervalSpec *interval = PB_PUSH_NEW(in->arena, out, interval);
    interval->interval = pb_duration_new(in->arena, duration_s(seconds));
    interval->phase = pb_duration_new(in->arena, duration_s(phase));
    return ERR_NONE;
}

/* "TZ=Europe/Oslo …" or "CRON_TZ=…". All that name a zone must name the same. */
static err take_zone(struct reader *in, struct str *text, pb_schedule_ScheduleSpec *out)
{
    static const char *const prefixes[] = {"CRON_TZ=", "TZ="};
    for (size_t i = 0; i < countof(prefixes); i++) {
        struct str prefix = str_of(prefixes[i]), zone;
        if (!str_starts_with(*text, prefix)) continue;
        *text = str_skip(*text, prefix.size);
        cut(text, ' ', &zone);
        *text = trim(*text);
        if (!str_is_empty(out->timezone_name) && !str_equal(out->timezone_name, zone))
            return error_set(in->error, in->arena, ERR_INVALID, "a specification has one time zone; \"%.*s\" and \"%.*s\" are named", STR_ARG(out->timezone_name), STR_ARG(zone));
        out->timezone_name = zone;
        return ERR_NONE;
    }
    return ERR_NONE;
}

static err parse_cron(struct reader *in, struct str text, pb_schedule_ScheduleSpec *out)
{
    static const struct { const char *word, *line; } words[] = {
        {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
        {"@daily", "0 0 * * *"}, {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"}};
    static const int order[7] = {SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, YEAR};
    if (text.size > TEXT_MAX) return error_set(in->error, in->arena, ERR_INVALID, "a cron text has more than %d bytes", TEXT_MAX);
    struct str line, comment = text, texts[FIELD_COUNT_] = {0}, part;
    if (!cut(&comment, '#', &line)) comment = STR_EMPTY;
    line = trim(line);
    comment = trim(comment);
    TRY(take_zone(in, &line, out));
    if (str_starts_with(line, STR("@every "))) return parse_every(in, str_skip(line, 7), out);
    for (size_t i = 0; i < countof(words); i++)
        if (str_equal_c(line, words[i].word)) line = str_of(words[i].line);
    struct str parts[8];
    size_t count = 0;
    while (line.size != 0 && count < countof(parts)) {
        cut(&line, ' ', &part);
        line = trim(line);
        parts[count++] = trim(part);
    }
    if (count < 5 || count > 7) return error_set(in->error, in->arena, ERR_INVALID, "\"%.*s\" is not a cron text: expected 5, 6 or 7 fields or a word such as @daily", STR_ARG(text));
    for (size_t i = 0; i < count; i++) texts[order[count == 7 ? i : i + 1]] = parts[i];
    pb_schedule_StructuredCalendarSpec *calendar;
    TRY(parse_calendar(in, texts, comment, &calendar));
    PB_PUSH(in->arena, out, structured_calendar) = calendar;
    return ERR_NONE;
}

err spec_canonical(const pb_schedule_ScheduleSpec *from, struct arena *arena, pb_schedule_ScheduleSpec **result, struct error *error)
{
    struct reader reader = {arena, error}, *in = &reader;
    if (from->calendar_count > SPEC_ENTRY_MAX || from->cron_string_count > SPEC_ENTRY_MAX || from->exclude_calendar_count > SPEC_ENTRY_MAX)
        return error_set(error, arena, ERR_INVALID, "a specification has at most %d calendars, excluded calendars and cron texts each", SPEC_ENTRY_MAX);
    pb_schedule_ScheduleSpec *out = pb_new(arena, pb_schedule_ScheduleSpec);
    for (size_t i = 0; i < from->structured_calendar_count; i++) PB_PUSH(arena, out, structured_calendar) = from->structured_calendar[i];
    for (size_t i = 0; i < from->interval_count; i++) PB_PUSH(arena, out, interval) = from->interval[i];
    for (size_t i = 0; i < from->exclude_structured_calendar_count; i++) PB_PUSH(arena, out, exclude_structured_calendar) = from->exclude_structured_calendar[i];
    out->start_time = from->start_time;
    out->end_time = from->end_time;
    out->jitter = from->jitter;
    out->timezone_name = from->timezone_name;
    out->timezone_data = from->timezone_data;
    for (size_t i = 0; i < from->calendar_count; i++) {
        pb_schedule_StructuredCalendarSpec *calendar;
        TRY(calendar_of(in, from->calendar[i], &calendar));
        PB_PUSH(arena, out, structured_calendar) = calendar;
    }
    for (size_t i = 0; i < from->cron_string_count; i++) TRY(parse_cron(in, from->cron_string[i], out));
    for (size_t i = 0; i < from->exclude_calendar_count; i++) {
        pb_schedule_StructuredCalendarSpec *calendar;
        TRY(calendar_of(in, from->exclude_calendar[i], &calendar));
        PB_PUSH(arena, out, exclude_structured_calendar) = calendar;
    }
    *result = out;
    return ERR_NONE;
}
