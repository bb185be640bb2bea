/* base/log.h: levelled, structured log lines on stderr, as key=value text or as JSON.
 *
 * log_info("server", "ready", "address", "127.0.0.1:7233") writes one line. Keys and values are C
 * strings in pairs. Thread: any; a line is written in one piece. Time: the wall clock, set by the process
 * with log_set_clock (the simulator gives its own). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/instant.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_NEVER };
enum log_format { LOG_TEXT, LOG_JSON, LOG_PRETTY };

void log_set_level(enum log_level level);
void log_set_format(enum log_format format);
void log_set_clock(instant (*now)(void));
/* Where lines go instead of stderr; NULL = stderr again. The line ends with a newline. */
void log_set_sink(void (*sink)(void *arg, const char *line, size_t size), void *arg);
bool log_level_parse(const char *name, enum log_level *level); /* debug info warn error never */
bool log_is_on(enum log_level level);
void log_write(enum log_level level, const char *component, const char *message, ...) __attribute__((sentinel));
#define log_debug(...) (log_is_on(LOG_DEBUG) ? log_write(LOG_DEBUG, __VA_ARGS__, (char *)NULL) : (void)0)
#define log_info(...) (log_is_on(LOG_INFO) ? log_write(LOG_INFO, __VA_ARGS__, (char *)NULL) : (void)0)
#define log_warn(...) (log_is_on(LOG_WARN) ? log_write(LOG_WARN, __VA_ARGS__, (char *)NULL) : (void)0)
#define log_error(...) (log_is_on(LOG_ERROR) ? log_write(LOG_ERROR, __VA_ARGS__, (char *)NULL) : (void)0)

/* TRACE=matching,history prints one line per state change of those components. */
bool trace_is_on(const char *component);
void trace_write(const char *component, const char *format, ...) PRINTF_LIKE(2, 3);
#ifdef PERDURE_TRACE
#define trace(component, ...) (trace_is_on(component) ? trace_write(component, __VA_ARGS__) : (void)0)
#else
#define trace(component, ...) ((void)0)
#endif

#endif
