#include "cli/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool cli_read_file(struct cli *cli, const char *path, struct str *out)
{
    enum { FILE_SIZE_MAX = 64 * 1024 * 1024 };
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        cli_fail(cli, "can not read %s: %s", path, strerror(errno));
        return false;
    }
    struct buf bytes = {0};
    for (size_t n = 1; n != 0 && bytes.size <= FILE_SIZE_MAX; bytes.size += n) n = fread(buf_reserve(&bytes, 65536), 1, 65536, f);
    bool is_good = !ferror(f) && bytes.size <= FILE_SIZE_MAX;
    fclose(f);
    if (is_good) *out = arena_str(cli->arena, buf_view(&bytes));
    else cli_fail(cli, "can not read %s: it has more than %d bytes or is damaged", path, FILE_SIZE_MAX);
    buf_fini(&bytes);
    return is_good;
}

static const char *path_of(struct cli *cli, struct str given, const char *variable, const char *name)
{
    const char *home = getenv("HOME"), *from = getenv(variable);
    if (!str_is_empty(given)) return arena_cstr(cli->arena, given);
    if (from != NULL && *from != '\0') return from;
    return arena_printf(cli->arena, "%s/.config/temporalio/%s", home != NULL ? home : ".", name).data;
}

static const char *profiles_path(struct cli *cli) { return path_of(cli, cli->f.config_file, "TEMPORAL_CONFIG_FILE", "temporal.toml"); }
static const char *environments_path(struct cli *cli) { return path_of(cli, cli->f.env_file, "TEMPORAL_ENV_FILE", "temporal.yaml"); }

static bool load(struct cli *cli, const char *path, bool is_toml, struct settings *out)
{
    struct str text;
    struct error error = {0};
    settings_init(out, cli->arena);
    if (access(path, F_OK) != 0) return true;
    if (!cli_read_file(cli, path, &text)) return false;
    err e = is_toml ? settings_read_toml(out, text, &error) : settings_read_yaml(out, text, &error);
    if (e != ERR_NONE) cli_fail(cli, "%s, %.*s", path, STR_ARG(error_message(&error)));
    return e == ERR_NONE;
}

bool profiles_load(struct cli *cli, struct settings *out) { return load(cli, profiles_path(cli), true, out); }
bool environments_load(struct cli *cli, struct settings *out) { return load(cli, environments_path(cli), false, out); }

static void make_folders(struct cli *cli, const char *path)
{
    char *copy = arena_cstr(cli->arena, str_of(path));
    for (char *slash = copy + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(copy, 0755); /* one that is there is fine; what else fails shows when the file is opened */
        *slash = '/';
    }
}

bool cli_write_file(struct cli *cli, const char *path, struct str text)
{
    const char *beside = arena_printf(cli->arena, "%s.%d", path, (int)getpid()).data;
    make_folders(cli, path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    bool is_good = fd >= 0 && write(fd, text.data, text.size) == (ssize_t)text.size && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    is_good = is_good && rename(beside, path) == 0;
    if (!is_good) cli_fail(cli, "can not write %s: %s", path, strerror(errno));
    return is_good;
}

bool profiles_store(struct cli *cli, const struct settings *settings)
{
    struct buf out = {0};
    settings_write_toml(settings, &out);
    bool is_good = cli_write_file(cli, profiles_path(cli), buf_view(&out));
    buf_fini(&out);
    return is_good;
}

bool environments_store(struct cli *cli, const struct settings *settings)
{
    struct buf out = {0};
    settings_write_yaml(settings, &out);
    bool is_good = cli_write_file(cli, environments_path(cli), buf_view(&out));
    buf_fini(&out);
    return is_good;
}

static struct str name_of(struct str given, const char *variable)
{
    const char *from = getenv(variable);
    if (!str_is_empty(given)) return given;
    return from != NULL && *from != '\0' ? str_of(from) : STR("default");
}

struct str profile_name(const struct cli *cli) { return name_of(cli->f.profile, "TEMPORAL_PROFILE"); }
struct str environment_name(const struct cli *cli) { return name_of(cli->f.env, "TEMPORAL_ENV"); }
