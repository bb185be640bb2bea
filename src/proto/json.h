/* proto/json.h: the small parts of JSON: a pull reader for text from outside, and writing of single values.
 *
 * The reader is asked for what the caller expects next; the first thing that does not fit stops it: every later call
 * fails too, and `error` says what and where (line and column). Strings come out unescaped, in the arena. A list is read
 *     if (!json_open(in, '[')) …;   while (json_more(in, ']')) … one value …
 * and an object likewise with '{', '}' and json_key() before each value. json_more() takes the commas and the closing
 * bracket; after the loop check json_failed().
 *
 * Thread: one at a time. Memory and recursion are bounded by the arena's budget and JSON_DEPTH_MAX. */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include "base/buf.h"
#include "base/err.h"

enum { JSON_DEPTH_MAX = 300 }; /* lists and objects inside each other */

struct json_in {
    const char *start, *at, *end;
    struct arena *arena;
    struct error *error; /* may be NULL */
    err failed;          /* ERR_NONE, ERR_INVALID or ERR_OVER_BUDGET */
    int depth;
    bool is_first; /* the innermost list or object has no element yet */
};

void json_init(struct json_in *in, struct str text, struct arena *arena, struct error *error);
static inline bool json_failed(const struct json_in *in) { return in->failed != ERR_NONE; }
/* Fails the reader (unless it has failed before) with words about the present position; returns false. */
bool json_refuse(struct json_in *in, const char *format, ...) PRINTF_LIKE(2, 3);
bool json_refuse_memory(struct json_in *in);
/* The first byte of the next value: '{' '[' '"' 't' 'f' 'n' '-' or a digit; '\0' at the end. */
char json_peek(struct json_in *in);
bool json_open(struct json_in *in, char bracket);
bool json_more(struct json_in *in, char closing);
bool json_key(struct json_in *in, struct str *out); /* with its colon */
bool json_string(struct json_in *in, struct str *out);
bool json_number(struct json_in *in, struct str *out); /* as spelled */
bool json_bool(struct json_in *in, bool *out);
bool json_null(struct json_in *in);
/* Passes over any value; `raw` (may be NULL) receives its text as it stands. */
bool json_skip(struct json_in *in, struct str *raw);
bool json_end(struct json_in *in); /* nothing but space is left */

/* The number a text spells (as JSON does), whole and in range: also "1e3" and "2.0". False: it is not. */
bool json_parse_int(struct str text, int64_t *out);
bool json_parse_uint(struct str text, uint64_t *out);
bool json_parse_double(struct str text, double *out); /* false: not a number, or too large */

/* `step` is the number of spaces a level is indented by; 0 = all on one line without spaces. */
struct json_out { struct buf *out; int step, depth; bool is_first; };

void json_put_open(struct json_out *w, char bracket);
void json_put_close(struct json_out *w, char bracket);
void json_put_next(struct json_out *w); /* before each element of a list: comma, line break */
void json_put_key(struct json_out *w, struct str key);
void json_put_string(struct json_out *w, struct str s);
void json_put_double(struct json_out *w, double value); /* the shortest text that reads back as the same number */
void json_put_float(struct json_out *w, float value);
static inline void json_put_raw(struct json_out *w, struct str s) { buf_append_str(w->out, s); }
/* Any valid JSON text again, laid out like the rest. False: it is not valid; nothing was written. */
bool json_put_json(struct json_out *w, struct str text);

void json_put_base64(struct buf *out, struct str bytes);
/* Accepts both alphabets, padded or not. NULL: not base64 (size 0 gives a pointer that is not to be read). */
char *json_parse_base64(struct str text, struct arena *arena, size_t *size_out, err *e);

#endif
