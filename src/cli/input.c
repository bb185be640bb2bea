#include "cli/cli.h"

#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>

bool pair_split(struct str text, struct str *key, struct str *value)
{
    const char *eq = text.size != 0 ? memchr(text.data, '=', text.size) : NULL;
    if (eq == NULL || eq == text.data) return false;
    *key = str_make(text.data, (size_t)(eq - text.data));
    *value = str_skip(text, key->size + 1);
    return true;
}

static bool is_json(struct cli *cli, struct str text)
{
    struct json_in in;
    json_init(&in, text, cli->arena, NULL);
    return json_skip(&in, NULL) && json_end(&in);
}

/* A key that is given several times belongs to one input after the other; given once, to all. */
static bool is_for(const struct option_strings *pairs, size_t at, size_t index)
{
    struct str key, other, value;
    size_t before = 0, total = 0;
    (void)pair_split(pairs->items[at], &key, &value);
    for (size_t i = 0; i < pairs->count; i++) {
        if (!pair_split(pairs->items[i], &other, &value) || !str_equal(key, other)) continue;
        if (i < at) before++;
        total++;
    }
    return total == 1 || before == index;
}

static bool fill_metadata(struct cli *cli, const struct option_strings *pairs, size_t index, struct pb_common_Payload *payload, bool *is_json_plain)
{
    struct str encoding = STR("json/plain");
    for (size_t i = 0; pairs != NULL && i < pairs->count; i++) {
        struct str key, value;
        if (!pair_split(pairs->items[i], &key, &value)) {
            cli_fail(cli, "--input-meta wants KEY=VALUE, not \"%.*s\"", STR_ARG(pairs->items[i]));
            return false;
        }
        if (!is_for(pairs, i, index)) continue;
        if (str_equal_c(key, "encoding")) {
            encoding = value;
            continue;
        }
        struct pb_common_Payload_MetadataEntry *entry = PB_PUSH_NEW(cli->arena, payload, metadata);
        *entry = (struct pb_common_Payload_MetadataEntry){.key = key, .value = value};
    }
    struct pb_common_Payload_MetadataEntry *entry = PB_PUSH_NEW(cli->arena, payload, metadata);
    *entry = (struct pb_common_Payload_MetadataEntry){.key = STR("encoding"), .value = encoding};
    *is_json_plain = str_starts_with(encoding, STR("json/"));
    return true;
}

struct input_flags cli_input(const struct cli *cli)
{
    return (struct input_flags){&cli->f.input, &cli->f.input_file, &cli->f.input_meta, cli->f.input_base64};
}

bool cli_payloads(struct cli *cli, const struct input_flags *flags, struct pb_common_Payloads **out)
{
    size_t value_count = flags->values->count, file_count = flags->files != NULL ? flags->files->count : 0, count = value_count + file_count;
    *out = NULL;
    if (count == 0) return true;
    if (value_count != 0 && file_count != 0) {
        cli_fail(cli, "--input and --input-file do not go together");
        return false;
    }
    *out = pb_new(cli->arena, struct pb_common_Payloads);
    for (size_t i = 0; i < count; i++) {
        struct str data;
        bool wants_json;
        if (i < value_count) data = flags->values->items[i];
        else if (!cli_read_file(cli, arena_cstr(cli->arena, flags->files->items[i - value_count]), &data)) return false;
        struct pb_common_Payload *payload = PB_PUSH_NEW(cli->arena, *out, payloads);
        if (!fill_metadata(cli, flags->metadata, i, payload, &wants_json)) return false;
        if (flags->is_base64) {
            err e = ERR_NONE;
            size_t size;
            const char *bytes = json_parse_base64(data, cli->arena, &size, &e);
            if (bytes == NULL) {
                cli_fail(cli, "input #%zu is not base64", i + 1);
                return false;
            }
            data = str_make(bytes, size);
        }
        if (wants_json && !is_json(cli, data)) {
            cli_fail(cli, "input #%zu is not valid JSON; a text needs its quotes: --input '\"text\"'", i + 1);
            return false;
        }
        payload->data = data;
    }
    return true;
}

static bool pair_payload(struct cli *cli, struct str text, const char *flag, struct str *key, struct pb_common_Payload **payload)
{
    struct str value;
    if (!pair_split(text, key, &value)) {
        cli_fail(cli, "--%s wants KEY=JSON, not \"%.*s\"", flag, STR_ARG(text));
        return false;
    }
    if (!is_json(cli, value)) {
        cli_fail(cli, "--%s: the value of %.*s is not valid JSON; a text needs its quotes: '%.*s=\"text\"'", flag, STR_ARG(*key), STR_ARG(*key));
        return false;
    }
    *payload = pb_payload_new(cli->arena, STR("json/plain"), value);
    return true;
}

bool cli_memo(struct cli *cli, const struct option_strings *pairs, const char *flag, struct pb_common_Memo **out)
{
    *out = NULL;
    for (size_t i = 0; i < pairs->count; i++) {
        struct str key;
        struct pb_common_Payload *payload;
        if (!pair_payload(cli, pairs->items[i], flag, &key, &payload)) return false;
        if (*out == NULL) *out = pb_new(cli->arena, struct pb_common_Memo);
        struct pb_common_Memo_FieldsEntry *entry = PB_PUSH_NEW(cli->arena, *out, fields);
        entry->key = key;
        entry->value = payload;
    }
    return true;
}

bool cli_search_attributes(struct cli *cli, const struct option_strings *pairs, const char *flag, struct pb_common_SearchAttributes **out)
{
    *out = NULL;
    for (size_t i = 0; i < pairs->count; i++) {
        struct str key;
        struct pb_common_Payload *payload;
        if (!pair_payload(cli, pairs->items[i], flag, &key, &payload)) return false;
        if (*out == NULL) *out = pb_new(cli->arena, struct pb_common_SearchAttributes);
        struct pb_common_SearchAttributes_IndexedFieldsEntry *entry = PB_PUSH_NEW(cli->arena, *out, indexed_fields);
        entry->key = key;
        entry->value = payload;
    }
    return true;
}

bool cli_time(struct cli *cli, struct str text, const char *flag, struct pb_google_Timestamp **out)
{
    *out = NULL;
    if (str_is_empty(text)) return true;
    *out = pb_new(cli->arena, struct pb_google_Timestamp);
    if (pb_parse_timestamp(text, &(*out)->seconds, &(*out)->nanos)) return true;
    cli_fail(cli, "--%s wants a time such as 2030-01-31T09:00:00Z, not \"%.*s\"", flag, STR_ARG(text));
    return false;
}

bool cli_enum(struct cli *cli, const struct pb_enum *type, struct str text, const char *flag, int32_t *out)
{
    if (str_is_empty(text)) return true;
    for (size_t i = 0; i < type->value_count; i++) {
        int32_t number = pb_enum_values[type->value_first + i].number;
        if (!str_equal(pb_enum_short_name(type, number, cli->arena), text)) continue;
        *out = number;
        return true;
    }
    if (pb_enum_number(type, text, out)) return true;
    struct buf names = {0};
    for (size_t i = 0; i < type->value_count; i++) {
        int32_t number = pb_enum_values[type->value_first + i].number;
        if (number != 0) buf_printf(&names, "%s%.*s", names.size != 0 ? ", " : "", STR_ARG(pb_enum_short_name(type, number, cli->arena)));
    }
    cli_fail(cli, "--%s can not be \"%.*s\"; it may be %.*s", flag, STR_ARG(text), STR_ARG(buf_view(&names)));
    buf_fini(&names);
    return false;
}

bool cli_number(struct cli *cli, struct str text, const char *flag, double *out)
{
    *out = 0;
    if (str_is_empty(text) || json_parse_double(text, out)) return true;
    cli_fail(cli, "--%s wants a number, not \"%.*s\"", flag, STR_ARG(text));
    return false;
}

struct pb_common_Payload *cli_text_payload(struct cli *cli, struct str text)
{
    struct buf out = {0};
    struct json_out w = {.out = &out};
    if (str_is_empty(text)) return NULL;
    json_put_string(&w, text);
    struct pb_common_Payload *payload = pb_payload_new(cli->arena, STR("json/plain"), arena_str(cli->arena, buf_view(&out)));
    buf_fini(&out);
    return payload;
}

struct pb_google_Duration *cli_duration(struct cli *cli, enum flag flag, duration value)
{
    return cli->given[flag] ? pb_duration_new(cli->arena, value) : NULL;
}

struct str cli_uuid(struct cli *cli)
{
    uint8_t b[16];
    ensure(getrandom(b, sizeof b, 0) == (ssize_t)sizeof b);
    b[6] = (b[6] & 0x0f) | 0x40; /* version 4, variant 1 */
    b[8] = (b[8] & 0x3f) | 0x80;
    return arena_printf(cli->arena, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3], b[4],
                        b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

struct pb_common_WorkflowExecution *cli_execution(struct cli *cli)
{
    struct pb_common_WorkflowExecution *execution = pb_new(cli->arena, struct pb_common_WorkflowExecution);
    execution->workflow_id = cli->f.workflow_id;
    execution->run_id = cli->f.run_id;
    return execution;
}

bool cli_confirm_word(struct cli *cli, const char *question, struct str word)
{
    char answer[256] = "";
    if (cli->f.yes) return true;
    if (cli_is_json(cli)) {
        cli_fail(cli, "%s In this format nobody is asked: add --yes to go on.", question);
        return false;
    }
    fprintf(stderr, "%s %s ", question, str_is_empty(word) ? "y/N" : "Type its name to go on:");
    bool has_answer = fgets(answer, sizeof answer, stdin) != NULL;
    answer[strcspn(answer, "\r\n")] = '\0';
    if (has_answer && (str_is_empty(word) ? strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0 : str_equal_c(word, answer))) return true;
    if (!has_answer) fputc('\n', stderr);
    cli_fail(cli, "nothing was done; --yes goes on without asking");
    return false;
}

bool cli_confirm(struct cli *cli, const char *question) { return cli_confirm_word(cli, question, STR_EMPTY); }
