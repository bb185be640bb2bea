#include "base/log.h"

#include "base/buf.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static enum log_level log_level_min = LOG_WARN;
static enum log_format log_line_format = LOG_TEXT;
static instant (*log_clock)(void);
static void (*log_sink)(void *arg, const char *line, size_t size);
static void *log_sink_arg;
static pthread_mutex_t log_mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *const level_names[] = {"debug", "info", "warn", "error", "never"};

void log_set_level(enum log_level level) { log_level_min = level; }
void log_set_format(enum log_format format) { log_line_format = format; }
void log_set_clock(instant (*now)(void)) { log_clock = now; }
bool log_is_on(enum log_level level) { return level >= log_level_min; }

void log_set_sink(void (*sink)(void *arg, const char *line, size_t size), void *arg)
{
    log_sink = sink;
    log_sink_arg = arg;
}

bool log_level_parse(const char *name, enum log_level *level)
{
    for (size_t i = 0; i < countof(level_names); i++) {
        if (strcmp(name, level_names[i]) != 0) continue;
        *level = (enum log_level)i;
        return true;
    }
    return false;
}

static void append_json(struct buf *line, const char *text)
{
    buf_append_byte(line, '"');
    for (const char *p = text; *p != '\0'; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\') buf_printf(line, "\\%c", c);
        else if (c < 0x20) buf_printf(line, "\\u%04x", c);
        else buf_append_byte(line, c);
    }
    buf_append_byte(line, '"');
}

/* key=value with quotes where a space, a quote or a control character asks for them. */
static void append_text(struct buf *line, const char *text)
{
    bool is_plain = *text != '\0';
    for (const char *p = text; *p != '\0' && is_plain; p++) is_plain = (unsigned char)*p > ' ' && *p != '"' && *p != '=' && *p != 127;
    if (is_plain) buf_append(line, text, strlen(text));
    else append_json(line, text);
}

static void append_time(struct buf *line)
{
    instant now = log_clock != NULL ? log_clock() : (instant){0};
    time_t s = (time_t)(now.ns / NS_PER_S);
    struct tm tm;
    gmtime_r(&s, &tm);
    char text[40];
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_append(line, text, n);
    buf_printf(line, ".%03dZ", (int)(now.ns % NS_PER_S / NS_PER_MS));
}

void log_write(enum log_level level, const char *component, const char *message, ...)
{
    struct buf line = {0};
    bool is_json = log_line_format == LOG_JSON;
    if (is_json) buf_printf(&line, "{\"time\":\"");
    append_time(&line);
    if (is_json) {
        buf_printf(&line, "\",\"level\":\"%s\",\"component\":\"%s\",\"msg\":", level_names[level], component);
        append_json(&line, message);
    } else {
        buf_printf(&line, " %-5s %s: %s", level_names[level], component, message);
    }
    va_list args;
    va_start(args, message);
    for (const char *key; (key = va_arg(args, const char *)) != NULL;) {
        const char *value = va_arg(args, const char *);
        if (value == NULL) break;
        buf_printf(&line, is_json ? ",\"%s\":" : " %s=", key);
        if (is_json) append_json(&line, value);
        else append_text(&line, value);
    }
    va_end(args);
    buf_printf(&line, is_json ? "}\n" : "\n");
    pthread_mutex_lock(&log_mutex);
    if (log_sink != NULL) log_sink(log_sink_arg, line.data, line.size);
    else fwrite(line.data, 1, line.size, stderr);
    pthread_mutex_unlock(&log_mutex);
    buf_fini(&line);
}

bool trace_is_on(const char *component)
{
    static const char *wanted;
    if (wanted == NULL) {
        const char *env = getenv("TRACE");
        wanted = env != NULL ? env : "";
    }
    size_t n = strlen(component);
    for (const char *p = wanted; (p = strstr(p, component)) != NULL; p += n)
        if ((p == wanted || p[-1] == ',') && (p[n] == ',' || p[n] == '\0')) return true;
    return false;
}

void trace_write(const char *component, const char *format, ...)
{
    struct buf line = {0};
    append_time(&line);
    buf_printf(&line, " trace %s: ", component);
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buf_printf(&line, "%s\n", text);
    fwrite(line.data, 1, line.size, stderr);
    buf_fini(&line);
}
