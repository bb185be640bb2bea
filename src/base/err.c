#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

#define X(code, grpc, text) {grpc, text},
static const struct { enum grpc_code grpc; const char *text; } err_rows[] = {ERR_TABLE(X)};
#undef X

static const char *const grpc_names[] = {
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
};

const char *grpc_code_name(enum grpc_code code) { return (size_t)code < countof(grpc_names) ? grpc_names[code] : "UNKNOWN"; }
const char *err_text(err code) { return code < ERR_COUNT ? err_rows[code].text : "unknown error"; }
enum grpc_code err_grpc(err code) { return code < ERR_COUNT ? err_rows[code].grpc : GRPC_INTERNAL; }

err error_set(struct error *error, struct arena *arena, err code, const char *format, ...)
{
    if (error == NULL) return code;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    *error = (struct error){.code = code};
    if (size > 0) {
        char *p = arena_alloc(arena, (size_t)size + 1);
        vsnprintf(p, (size_t)size + 1, format, again);
        error->message = (struct str){p, (size_t)size};
    }
    va_end(again);
    return code;
}

enum grpc_code error_grpc(const struct error *error) { return error->grpc != GRPC_OK ? error->grpc : err_grpc(error->code); }
struct str error_message(const struct error *error)
{
    return error->message.size != 0 ? error->message : str_of(err_text(error->code));
}
