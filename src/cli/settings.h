/* cli/settings.h: named groups of settings in files: profiles in TOML (temporal.toml), environments in YAML (temporal.yaml).
 *
 * Both are read into the same flat list: a group ("default"), a key ("address", "tls.server_name"), a value as text. The
 * readers know the part of each language that such files use: tables, strings, whole numbers and booleans; two levels of
 * mappings. Anything else is an error that names the line. At most SETTINGS_MAX entries.
 *
 * Thread: one. Pure: bytes in, bytes out.   Source: the environment configuration of the public documentation. */
#ifndef CLI_SETTINGS_H
#define CLI_SETTINGS_H

#include "base/buf.h"
#include "base/err.h"

enum { SETTINGS_MAX = 4096 };

struct setting { struct str group, key, value; }; /* an empty key: the group is there */
struct settings {
    struct arena *arena;
    struct setting *items;
    size_t count, capacity;
};

void settings_init(struct settings *settings, struct arena *arena);
/* ERR_INVALID: `error` says which line and why. */
MUST_USE err settings_read_toml(struct settings *settings, struct str text, struct error *error);
MUST_USE err settings_read_yaml(struct settings *settings, struct str text, struct error *error);
void settings_write_toml(const struct settings *settings, struct buf *out);
void settings_write_yaml(const struct settings *settings, struct buf *out);

bool settings_has_group(const struct settings *settings, struct str group);
/* False: not there. */
bool settings_get(const struct settings *settings, struct str group, struct str key, struct str *value);
void settings_set(struct settings *settings, struct str group, struct str key, struct str value);
/* An empty key removes the group. False: there was none. */
bool settings_remove(struct settings *settings, struct str group, struct str key);

#endif
