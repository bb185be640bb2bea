/* core/json.h: the little JSON that markers hold: one flat object of strings, numbers, booleans and, one level down,
 * {"seconds":…,"nanos":…}. Reading never allocates more than the text is long; unknown fields are skipped. */
#ifndef CORE_JSON_H
#define CORE_JSON_H

#include "base/arena.h"
#include "base/buf.h"

/* The raw text of a field's value in an object, without the blanks around it. False: not an object, broken, or no such
 * field. Nesting deeper than 16 counts as broken. */
bool json_field(struct str object, const char *name, struct str *raw);
bool json_string(struct str raw, struct arena *arena, struct str *out); /* undoes the escapes; false: not a string */
bool json_int(struct str raw, int64_t *out);                            /* false: not a whole number that fits */
bool json_bool(struct str raw, bool *out);
/* The elements of an array of strings, one by one: *at starts at 0. False: no more, or broken. */
bool json_array_next(struct str array, size_t *at, struct str *raw);
void json_write_string(struct buf *out, struct str text);

#endif
