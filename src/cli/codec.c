#include "cli/codec.h"

#include "cli/http.h"

enum { PAYLOADS_MAX = 1000 }; /* in one request */

struct found { struct pb_common_Payload ***places; size_t count, capacity_; };

static void find_in(struct cli *cli, const struct pb_message *type, void *message, struct found *found);

static void find_at(struct cli *cli, const struct pb_field *field, void **place, struct found *found)
{
    const struct pb_message *type = pb_field_message(field);
    if (*place == NULL || type == &pb_common_SearchAttributes_type || type == &pb_ws_CountWorkflowExecutionsResponse_AggregationGroup_type) return;
    if (type != &pb_common_Payload_type) {
        find_in(cli, type, *place, found);
        return;
    }
    *(struct pb_common_Payload ***)pb_grow(cli->arena, (void **)&found->places, &found->count, &found->capacity_, sizeof *found->places) = (struct pb_common_Payload **)place;
}

static void find_in(struct cli *cli, const struct pb_message *type, void *message, struct found *found)
{
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field *field = &pb_fields[type->field_first + i];
        char *at = (char *)message + field->offset;
        if (field->kind != PB_MESSAGE) continue;
        if (field->label == PB_ONEOF && *(int32_t *)((char *)message + field->aux) != (int32_t)field->number) continue;
        if (!pb_is_repeated(field)) {
            find_at(cli, field, (void **)at, found);
            continue;
        }
        void **items = *(void ***)at;
        size_t count = *(size_t *)((char *)message + field->aux);
        for (size_t j = 0; j < count; j++) find_at(cli, field, &items[j], found);
    }
}

static bool fail(struct cli *cli, struct str why)
{
    cli->code = GRPC_INTERNAL;
    cli->message = arena_printf(cli->arena, "the codec server at %.*s: %.*s", STR_ARG(cli->f.codec_endpoint), STR_ARG(why));
    return false;
}

/* The endpoint with its namespace put in, and the path of the operation. */
static struct str url_of(struct cli *cli, bool encodes)
{
    struct str rest = cli->f.codec_endpoint, mark = STR("{namespace}");
    struct buf out = {0};
    while (rest.size != 0) {
        bool is_mark = str_starts_with(rest, mark);
        if (is_mark) buf_append_str(&out, cli->f.namespace);
        else buf_append_byte(&out, (uint8_t)rest.data[0]);
        rest = str_skip(rest, is_mark ? mark.size : 1);
    }
    while (out.size != 0 && out.data[out.size - 1] == '/') out.size--;
    buf_append_str(&out, encodes ? STR("/encode") : STR("/decode"));
    struct str url = arena_str(cli->arena, buf_view(&out));
    buf_fini(&out);
    return url;
}

static bool read_headers(struct cli *cli, struct buf *out)
{
    buf_printf(out, "Content-Type: application/json\r\nX-Namespace: %.*s\r\n", STR_ARG(cli->f.namespace));
    if (!str_is_empty(cli->f.codec_auth)) buf_printf(out, "Authorization: %.*s\r\n", STR_ARG(cli->f.codec_auth));
    for (size_t i = 0; i < cli->f.codec_header.count; i++) {
        struct str key, value;
        if (!pair_split(cli->f.codec_header.items[i], &key, &value)) return fail(cli, STR("--codec-header wants KEY=VALUE"));
        buf_printf(out, "%.*s: %.*s\r\n", STR_ARG(key), STR_ARG(value));
    }
    for (size_t i = 0; i + 1 < out->size; i++)
        if ((out->data[i] == '\n') != (i > 0 && out->data[i - 1] == '\r')) return fail(cli, STR("a header holds a line break"));
    return true;
}

static bool convert(struct cli *cli, bool encodes, struct pb_common_Payload ***places, size_t count)
{
    struct pb_common_Payloads payloads = {0}, *answer;
    struct buf body = {0}, headers = {0};
    struct error error = {0};
    struct str text = STR_EMPTY;
    for (size_t i = 0; i < count; i++) PB_PUSH(cli->arena, &payloads, payloads) = *places[i];
    bool is_good = read_headers(cli, &headers);
    if (is_good) {
        err e = pb_json_write(&pb_common_Payloads_type, &payloads, 0, &body);
        if (e == ERR_NONE) e = http_post_wait(cli->loop, url_of(cli, encodes), buf_view(&headers), buf_view(&body), cli_time_left(cli, duration_s(30)), cli->arena, &error, &text);
        if (e == ERR_NONE) e = PB_JSON_READ(cli->arena, text, pb_common_Payloads, PB_JSON_IGNORE_UNKNOWN, &error, &answer);
        if (e != ERR_NONE) is_good = fail(cli, error_message(&error));
        else if (answer->payloads_count != count) is_good = fail(cli, arena_printf(cli->arena, "it answered %zu payloads for %zu", answer->payloads_count, count));
    }
    for (size_t i = 0; is_good && i < count; i++) *places[i] = answer->payloads[i];
    buf_fini(&body);
    buf_fini(&headers);
    return is_good;
}

bool codec_apply(struct cli *cli, bool encodes, const struct pb_message *type, void *message)
{
    struct found found = {0};
    find_in(cli, type, message, &found);
    for (size_t at = 0; at < found.count; at += PAYLOADS_MAX)
        if (!convert(cli, encodes, found.places + at, size_min(PAYLOADS_MAX, found.count - at))) return false;
    return true;
}
