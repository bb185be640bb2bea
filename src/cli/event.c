/* cli/event.c: one event of a history as people read it: a line that says what it is about, or all its fields. */
#include "cli/workflow.h"

/* ---- in a line: found by the names of the fields that say most ---- */

static const struct pb_field *field_named(const struct pb_message *type, const char *name) { return pb_field_find_name(type, str_of(name)); }

static const void *message_in(const void *message, const struct pb_field *field) { return *(void *const *)((const char *)message + field->offset); }
static struct str text_in(const void *message, const struct pb_field *field) { return *(const struct str *)((const char *)message + field->offset); }

static struct str value_text(struct cli *cli, const void *message, const struct pb_field *field)
{
    if (field->kind == PB_STRING && field->label == PB_SINGULAR) return text_in(message, field);
    if (field->kind == PB_ENUM && field->label == PB_SINGULAR) {
        int32_t number = *(const int32_t *)((const char *)message + field->offset);
        return number != 0 ? pb_enum_short_name(pb_field_enum(field), number, cli->arena) : STR_EMPTY;
    }
    const void *inner = field->kind == PB_MESSAGE && !pb_is_repeated(field) ? message_in(message, field) : NULL;
    if (inner == NULL) return STR_EMPTY;
    const struct pb_message *type = pb_field_message(field);
    if (type == &pb_google_Duration_type) return duration_words(cli->arena, pb_duration(inner));
    if (type == &pb_failure_Failure_type) {
        const struct pb_failure_Failure *failure = inner;
        while (failure->cause != NULL) failure = failure->cause;
        return failure->message;
    }
    const struct pb_field *name = field_named(type, "name"); /* of a type, of an update's input */
    if (name == NULL && type == &pb_update_Request_type) return value_text(cli, inner, field_named(type, "input"));
    return name != NULL && name->kind == PB_STRING ? text_in(inner, name) : STR_EMPTY;
}

static struct str summary(struct cli *cli, const struct pb_history_HistoryEvent *event)
{
    static const char *const names[] = {"workflow_type", "activity_type", "signal_name", "accepted_request", "request", "operation", "marker_name", "start_to_fire_timeout", "failure", "reason", "cause"};
    const struct pb_message *type = &pb_history_HistoryEvent_type;
    for (size_t i = 0; i < type->field_count; i++) {
        const struct pb_field *field = &pb_fields[type->field_first + i];
        if (field->label != PB_ONEOF || (int32_t)field->number != event->attributes_case) continue;
        const void *attributes = message_in(event, field);
        for (size_t j = 0; attributes != NULL && j < countof(names); j++) {
            const struct pb_field *named = field_named(pb_field_message(field), names[j]);
            struct str text = named != NULL ? value_text(cli, attributes, named) : STR_EMPTY;
            if (!str_is_empty(text)) return text;
        }
    }
    return STR_EMPTY;
}

/* ---- in full: a line a value, "taskQueue.name  hello" ---- */

static void put_flat(struct cli *cli, struct cli_table *card, struct json_in *in, struct str path)
{
    struct str key, value;
    char first = json_peek(in);
    if (first == '{' && json_open(in, '{')) {
        while (json_more(in, '}') && json_key(in, &key)) {
            struct str tail = STR("EventAttributes");
            bool is_all = path.size == 0 && key.size > tail.size && str_equal(str_skip(key, key.size - tail.size), tail); /* what the event is about */
            put_flat(cli, card, in, is_all ? STR_EMPTY : path.size == 0 ? key : arena_printf(cli->arena, "%.*s.%.*s", STR_ARG(path), STR_ARG(key)));
        }
    } else if (first == '[' && json_open(in, '[')) {
        for (int i = 0; json_more(in, ']'); i++) put_flat(cli, card, in, arena_printf(cli->arena, "%.*s[%d]", STR_ARG(path), i));
    } else if (first == '"' && json_string(in, &value)) cli_table_row(card, path, value);
    else if (json_skip(in, &value)) cli_table_row(card, path, value);
}

void workflow_show_titles(struct cli *cli, bool is_detailed)
{
    if (is_detailed) cli_say(cli, "Progress:");
    else cli_say(cli, "Progress:\n  %5s  %-20s  Type", "ID", "Time");
}

void workflow_show_event(struct cli *cli, const struct pb_history_HistoryEvent *event, bool is_detailed)
{
    struct str type = pb_enum_short_name(&pb_enums_EventType_enum, event->event_type, cli->arena);
    struct buf out = {0};
    char time[40] = "";
    if (cli->format != FORMAT_TEXT) return;
    if (event->event_time != NULL) pb_format_timestamp(event->event_time->seconds, 0, time);
    if (!is_detailed) {
        struct str about = summary(cli, event);
        buf_printf(&out, "  %5" PRId64 "  %s  %-*.*s", event->event_id, time, about.size != 0 ? 34 : 0, STR_ARG(type));
        if (about.size != 0) buf_printf(&out, "  %.*s", (int)size_min(about.size, 500), about.data);
        for (size_t i = 0; i < out.size; i++)
            if ((unsigned char)out.data[i] < 0x20 || out.data[i] == 0x7f) out.data[i] = ' ';
        buf_append_byte(&out, '\n');
        cli_put_lines(cli, buf_view(&out));
    } else if (pb_json_write(&pb_history_HistoryEvent_type, event, cli->f.no_shorthand ? 0u : PB_JSON_SHORTHAND, &out) == ERR_NONE) {
        struct cli_table *card = cli_table_new(cli, 2, NULL);
        struct json_in in;
        json_init(&in, arena_str(cli->arena, buf_view(&out)), cli->arena, NULL);
        put_flat(cli, card, &in, STR_EMPTY);
        cli_say(cli, "\n---- %" PRId64 " %.*s ----", event->event_id, STR_ARG(type));
        cli_table_print(card);
    }
    buf_fini(&out);
    fflush(stdout); /* people watch this live */
}
