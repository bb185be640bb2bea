/* core/marker.h: reading the flat JSON objects that markers hold. Unknown fields are skipped; anything that is not what
 * was asked for reads as absent. What is read lives in the arena or points into the text. */
#ifndef CORE_MARKER_H
#define CORE_MARKER_H

#include "base/arena.h"
#include "base/buf.h"

bool marker_field(struct arena *arena, struct str object, const char *name, struct str *raw); /* the text of its value */
bool marker_string(struct arena *arena, struct str object, const char *name, struct str *out);
bool marker_uint32(struct arena *arena, struct str object, const char *name, uint32_t *out);
bool marker_bool(struct arena *arena, struct str object, const char *name, bool *out);
/* {"seconds":…,"nanos":…} as nanoseconds. */
bool marker_time(struct arena *arena, struct str object, const char *name, int64_t *ns);
void marker_put_string(struct buf *out, struct str text);
void marker_put_time(struct buf *out, const char *name, int64_t ns, bool is_set); /* ,"name":{…} or ,"name":null */

#endif
