/* cli/trace.c: a workflow with its activities, timers, Nexus operations and children as a tree, drawn again as they go on.
 *
 * Each workflow of the tree that is open has one call waiting for its next events, as far as --concurrency allows; when
 * more are open than that, each waits a second and then gives way to the next. */
#include "cli/commands.h"
#include "cli/workflow.h"
#include "net/loop.h"

#include <sys/ioctl.h>

enum { ITEMS_MAX = 10000, DEPTH_MAX = 64 };

enum state { STATE_WAITING, STATE_RUNNING, STATE_COMPLETED, STATE_FAILED, STATE_CANCELED, STATE_TERMINATED, STATE_TIMEDOUT, STATE_CONTINUED };
static const struct { const char *sign, *color, *name; } states[] = {
    {"·", "37", ""}, {"▸", "34", "running"}, {"✓", "32", "completed"}, {"✗", "31", "failed"}, {"○", "33", "canceled"}, {"■", "31", "terminated"}, {"⌛", "31", "timedout"}, {"↻", "36", "continueasnew"},
};

struct node;
struct item { /* an activity, a timer, an operation or a child of one workflow */
    int64_t event_id;
    const char *kind;
    struct str name;
    enum state state;
    instant began, ended;
    int32_t attempt;
    struct str failure;
    struct node *child;
};
struct node { /* a workflow */
    struct tree *tree;
    struct pb_common_WorkflowExecution execution;
    struct str type, token, failure;
    enum state state;
    instant began, ended;
    struct item *items;
    size_t item_count, item_capacity;
    int depth, run_count;
    bool is_asking;
    struct node *next; /* all nodes of the tree */
};
struct tree {
    struct cli *cli;
    struct node *root, *last, *turn; /* turn: who asks next when not all may */
    int64_t asking, open;
    bool has_changed, has_failed;
};

static struct node *node_new(struct tree *tree, struct str workflow_id, struct str run_id, struct str type, int depth)
{
    struct node *node = arena_new(tree->cli->arena, struct node);
    *node = (struct node){.tree = tree, .execution = {.workflow_id = workflow_id, .run_id = run_id}, .type = type, .state = STATE_RUNNING, .depth = depth, .run_count = 1};
    if (tree->last != NULL) tree->last->next = node;
    else tree->root = node;
    tree->last = node;
    tree->open++;
    return node;
}

/* ---- events ---- */

static struct item *item_of(struct node *node, int64_t event_id)
{
    for (size_t i = node->item_count; i-- > 0;)
        if (node->items[i].event_id == event_id) return &node->items[i];
    return NULL;
}

static void item_add(struct node *node, const struct pb_history_HistoryEvent *event, const char *kind, struct str name, enum state state)
{
    if (node->item_count == ITEMS_MAX) return;
    if (node->item_count == node->item_capacity) {
        size_t capacity = node->item_capacity * 2 + 8;
        struct item *items = arena_array(node->tree->cli->arena, struct item, capacity);
        if (node->item_count != 0) memcpy(items, node->items, node->item_count * sizeof *items);
        node->items = items;
        node->item_capacity = capacity;
    }
    node->items[node->item_count++] = (struct item){.event_id = event->event_id, .kind = kind, .name = name, .state = state, .began = pb_instant(event->event_time)};
}

static void item_end(struct node *node, const struct pb_history_HistoryEvent *event, int64_t event_id, enum state state, const struct pb_failure_Failure *failure)
{
    struct item *item = item_of(node, event_id);
    if (item == NULL) return;
    item->state = state;
    item->ended = pb_instant(event->event_time);
    while (failure != NULL && failure->cause != NULL) failure = failure->cause;
    if (failure != NULL) item->failure = failure->message;
}

static void on_child_started(struct node *node, const struct pb_history_ChildWorkflowExecutionStartedEventAttributes *a)
{
    struct item *item = item_of(node, a->initiated_event_id);
    if (item == NULL || a->workflow_execution == NULL) return;
    item->state = STATE_RUNNING;
    int64_t depth_max = node->tree->cli->given[FLAG_depth] && node->tree->cli->f.depth >= 0 ? node->tree->cli->f.depth : DEPTH_MAX;
    bool is_elsewhere = !str_is_empty(a->namespace) && !str_equal(a->namespace, node->tree->cli->f.namespace);
    if (node->depth >= depth_max || node->depth >= DEPTH_MAX || is_elsewhere) return;
    item->child = node_new(node->tree, a->workflow_execution->workflow_id, a->workflow_execution->run_id, item->name, node->depth + 1);
}

static void on_close(struct node *node, const struct pb_history_HistoryEvent *event)
{
    static const struct { int32_t type; enum state state; } ends[] = {
        {EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED, STATE_COMPLETED}, {EVENT_TYPE_WORKFLOW_EXECUTION_FAILED, STATE_FAILED}, {EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT, STATE_TIMEDOUT},
        {EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED, STATE_CANCELED}, {EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED, STATE_TERMINATED}, {EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW, STATE_CONTINUED},
    };
    const struct pb_common_Payloads *result;
    const struct pb_failure_Failure *failure;
    struct str next = workflow_next_run(event);
    for (size_t i = 0; i < countof(ends); i++)
        if (ends[i].type == event->event_type) node->state = ends[i].state;
    node->ended = pb_instant(event->event_time);
    workflow_outcome(event, &result, &failure);
    while (failure != NULL && failure->cause != NULL) failure = failure->cause;
    node->failure = failure != NULL ? failure->message : STR_EMPTY;
    if (event->event_type == EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED) node->failure = event->workflow_execution_terminated_event_attributes->reason;
    node->token = STR_EMPTY;
    for (size_t i = 0; i < node->item_count; i++) { /* what was open is left so */
        struct item *item = &node->items[i];
        if (item->state == STATE_RUNNING && item->child == NULL) *item = (struct item){.event_id = item->event_id, .kind = item->kind, .name = item->name, .began = item->began,
                                                                                       .ended = node->ended, .attempt = item->attempt, .failure = item->failure};
    }
    if (str_is_empty(next)) {
        node->tree->open--;
        return;
    }
    node->execution.run_id = next; /* it goes on as a new run, which is followed in its place */
    node->state = STATE_RUNNING;
    node->item_count = 0;
    node->run_count++;
}

#define ENDS(type, field, id, state, failure) \
    case type: item_end(node, e, e->field->id, state, failure); break
static void on_event(struct node *node, const struct pb_history_HistoryEvent *e)
{
    switch (e->event_type) {
    case EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
        if (e->workflow_execution_started_event_attributes->workflow_type != NULL) node->type = e->workflow_execution_started_event_attributes->workflow_type->name;
        if (node->run_count == 1) node->began = pb_instant(e->event_time);
        break;
    case EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: {
        const struct pb_history_ActivityTaskScheduledEventAttributes *a = e->activity_task_scheduled_event_attributes;
        item_add(node, e, "activity", a->activity_type != NULL ? a->activity_type->name : a->activity_id, STATE_RUNNING);
        break;
    }
    case EVENT_TYPE_ACTIVITY_TASK_STARTED: {
        struct item *item = item_of(node, e->activity_task_started_event_attributes->scheduled_event_id);
        if (item != NULL) item->attempt = e->activity_task_started_event_attributes->attempt;
        break;
    }
    ENDS(EVENT_TYPE_ACTIVITY_TASK_COMPLETED, activity_task_completed_event_attributes, scheduled_event_id, STATE_COMPLETED, NULL);
    ENDS(EVENT_TYPE_ACTIVITY_TASK_FAILED, activity_task_failed_event_attributes, scheduled_event_id, STATE_FAILED, e->activity_task_failed_event_attributes->failure);
    ENDS(EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT, activity_task_timed_out_event_attributes, scheduled_event_id, STATE_TIMEDOUT, e->activity_task_timed_out_event_attributes->failure);
    ENDS(EVENT_TYPE_ACTIVITY_TASK_CANCELED, activity_task_canceled_event_attributes, scheduled_event_id, STATE_CANCELED, NULL);
    case EVENT_TYPE_TIMER_STARTED:
        item_add(node, e, "timer", duration_words(node->tree->cli->arena, pb_duration(e->timer_started_event_attributes->start_to_fire_timeout)), STATE_RUNNING);
        break;
    ENDS(EVENT_TYPE_TIMER_FIRED, timer_fired_event_attributes, started_event_id, STATE_COMPLETED, NULL);
    ENDS(EVENT_TYPE_TIMER_CANCELED, timer_canceled_event_attributes, started_event_id, STATE_CANCELED, NULL);
    case EVENT_TYPE_NEXUS_OPERATION_SCHEDULED:
        item_add(node, e, "operation", arena_printf(node->tree->cli->arena, "%.*s/%.*s", STR_ARG(e->nexus_operation_scheduled_event_attributes->service),
                                                    STR_ARG(e->nexus_operation_scheduled_event_attributes->operation)), STATE_RUNNING);
        break;
    ENDS(EVENT_TYPE_NEXUS_OPERATION_COMPLETED, nexus_operation_completed_event_attributes, scheduled_event_id, STATE_COMPLETED, NULL);
    ENDS(EVENT_TYPE_NEXUS_OPERATION_FAILED, nexus_operation_failed_event_attributes, scheduled_event_id, STATE_FAILED, e->nexus_operation_failed_event_attributes->failure);
    ENDS(EVENT_TYPE_NEXUS_OPERATION_CANCELED, nexus_operation_canceled_event_attributes, scheduled_event_id, STATE_CANCELED, NULL);
    ENDS(EVENT_TYPE_NEXUS_OPERATION_TIMED_OUT, nexus_operation_timed_out_event_attributes, scheduled_event_id, STATE_TIMEDOUT, NULL);
    case EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED: {
        const struct pb_history_StartChildWorkflowExecutionInitiatedEventAttributes *a = e->start_child_workflow_execution_initiated_event_attributes;
        item_add(node, e, "workflow", a->workflow_type != NULL ? a->workflow_type->name : a->workflow_id, STATE_WAITING);
        break;
    }
    case EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: on_child_started(node, e->child_workflow_execution_started_event_attributes); break;
    ENDS(EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED, start_child_workflow_execution_failed_event_attributes, initiated_event_id, STATE_FAILED, NULL);
    ENDS(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED, child_workflow_execution_completed_event_attributes, initiated_event_id, STATE_COMPLETED, NULL);
    ENDS(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED, child_workflow_execution_failed_event_attributes, initiated_event_id, STATE_FAILED, e->child_workflow_execution_failed_event_attributes->failure);
    ENDS(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED, child_workflow_execution_canceled_event_attributes, initiated_event_id, STATE_CANCELED, NULL);
    ENDS(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT, child_workflow_execution_timed_out_event_attributes, initiated_event_id, STATE_TIMEDOUT, NULL);
    ENDS(EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED, child_workflow_execution_terminated_event_attributes, initiated_event_id, STATE_TERMINATED, NULL);
    default:
        if (workflow_is_close(e)) on_close(node, e);
    }
}

/* ---- asking ---- */

static void on_page(void *arg, bool is_good, void *answer)
{
    struct node *node = arg;
    struct tree *tree = node->tree;
    const struct pb_ws_GetWorkflowExecutionHistoryResponse *page = answer;
    node->is_asking = false;
    tree->asking--;
    if (!is_good) {
        if (tree->cli->code == GRPC_DEADLINE_EXCEEDED && !cli_is_late(tree->cli)) return; /* nothing new; asked again in its turn */
        if (node == tree->root || tree->cli->code != GRPC_NOT_FOUND) {
            if (!tree->has_failed) cli_fail_call(tree->cli, "reading the history");
            tree->has_failed = true;
            return;
        }
        node->state = STATE_TERMINATED; /* a child whose history is gone */
        node->failure = tree->cli->message;
        tree->open--;
        tree->has_changed = true;
        return;
    }
    node->token = page->next_page_token;
    for (size_t i = 0; page->history != NULL && i < page->history->events_count; i++) {
        on_event(node, page->history->events[i]);
        tree->has_changed = true;
    }
}

static bool is_open(const struct node *node) { return node->state == STATE_RUNNING; }

static void ask(struct node *node, duration wait)
{
    struct tree *tree = node->tree;
    struct pb_ws_GetWorkflowExecutionHistoryRequest request = {.namespace = tree->cli->f.namespace, .execution = &node->execution, .wait_new_event = true, .next_page_token = node->token};
    node->is_asking = true;
    tree->asking++;
    if (!CALL_START(tree->cli, ws_GetWorkflowExecutionHistory, &request, on_page, node, wait)) on_page(node, false, NULL);
}

static void ask_all(struct tree *tree)
{
    int64_t most = tree->cli->given[FLAG_concurrency] && tree->cli->f.concurrency > 0 ? tree->cli->f.concurrency : 10;
    struct node *from = tree->turn != NULL ? tree->turn : tree->root, *node = from;
    do {
        if (is_open(node) && !node->is_asking && tree->asking < most) {
            ask(node, tree->open > most ? duration_s(1) : duration_s(30));
            tree->turn = node->next;
        }
        node = node->next != NULL ? node->next : tree->root;
    } while (node != from && tree->asking < most && !tree->has_failed);
}

/* ---- drawing ---- */

static bool is_folded(struct cli *cli, enum state state)
{
    if (cli->f.no_fold) return false;
    if (cli->f.fold.count == 0) return state == STATE_COMPLETED || state == STATE_CANCELED || state == STATE_TERMINATED;
    for (size_t i = 0; i < cli->f.fold.count; i++)
        if (str_equal_c(cli->f.fold.items[i], states[state].name)) return true;
    return false;
}

static struct str span_text(struct cli *cli, instant began, instant ended)
{
    if (!instant_is_set(began)) return STR_EMPTY;
    duration span = duration_max((duration){0}, instant_since(instant_is_set(ended) ? ended : cli->now, began));
    if (span.ns >= 10 * NS_PER_S) span.ns -= span.ns % NS_PER_S;
    return duration_words(cli->arena, span);
}

static void put_line(struct cli *cli, struct buf *out, const char *indent, enum state state, const char *kind, struct str name, int32_t attempt, struct str span, struct str failure)
{
    buf_append_str(out, str_of(indent));
    if (cli->has_color) buf_printf(out, "\033[%sm", states[state].color);
    buf_printf(out, "%s %.*s", states[state].sign, STR_ARG(name));
    if (cli->has_color) buf_append_str(out, STR("\033[0m"));
    buf_printf(out, "  %s", kind);
    if (attempt > 1) buf_printf(out, ", attempt %d", (int)attempt);
    if (!str_is_empty(span)) buf_printf(out, ", %s%.*s", state == STATE_RUNNING ? "for " : "", STR_ARG(span));
    if (!str_is_empty(failure)) {
        buf_append_str(out, STR(": "));
        for (size_t i = 0; i < failure.size && i < 200; i++) buf_append_byte(out, (unsigned char)failure.data[i] < 0x20 ? ' ' : (uint8_t)failure.data[i]);
    }
    buf_append_byte(out, '\n');
}

static void draw_node(struct cli *cli, struct buf *out, const struct node *node, const char *indent)
{
    struct str kind = node->run_count > 1 ? arena_printf(cli->arena, "workflow, run %d", node->run_count) : STR("workflow");
    put_line(cli, out, indent, node->state, kind.data, node->type, 0, span_text(cli, node->began, node->ended), node->failure);
    const char *inner = arena_printf(cli->arena, "%s│  ", indent).data;
    buf_printf(out, "%sid %.*s, run %.*s\n", inner, STR_ARG(node->execution.workflow_id), STR_ARG(node->execution.run_id));
    if (node != node->tree->root && is_folded(cli, node->state)) {
        if (node->item_count != 0) buf_printf(out, "%s… %zu inside; --no-fold shows them\n", inner, node->item_count);
        return;
    }
    for (size_t i = 0; i < node->item_count; i++) {
        const struct item *item = &node->items[i];
        if (item->child != NULL) draw_node(cli, out, item->child, inner);
        else put_line(cli, out, inner, item->state, item->kind, item->name, item->attempt, span_text(cli, item->began, item->ended), item->failure);
    }
}

/* What fits the window, its end first: the last lines are where something happens. Returns how many lines were drawn. */
static int draw(struct tree *tree, int lines_before)
{
    struct buf out = {0};
    struct winsize window;
    int lines = 0, rows = 0;
    draw_node(tree->cli, &out, tree->root, " ");
    struct str text = buf_view(&out);
    if (tree->cli->width > 0) {
        if (ioctl(1, TIOCGWINSZ, &window) == 0) rows = window.ws_row;
        for (size_t i = text.size; rows > 1 && i-- > 0;)
            if (text.data[i] == '\n' && lines++ == rows - 1) {
                text = str_skip(text, i + 1);
                break;
            }
        if (lines_before > 0) printf("\033[%dA\r\033[J", lines_before);
    }
    lines = 0;
    for (size_t i = 0; i < text.size; i++) lines += text.data[i] == '\n';
    cli_put_lines(tree->cli, text);
    fflush(stdout);
    buf_fini(&out);
    return lines;
}

int run_workflow_trace(struct cli *cli)
{
    struct tree tree = {.cli = cli};
    instant drawn = {0}, closed = {0}; /* closed: when the end of the workflow itself was seen */
    int lines = 0;
    if (cli_is_json(cli)) return cli_fail(cli, "perdure workflow trace draws for people; `perdure workflow show -o json` is for programs");
    struct pb_ws_DescribeWorkflowExecutionRequest request = {.namespace = cli->f.namespace, .execution = cli_execution(cli)};
    struct pb_ws_DescribeWorkflowExecutionResponse *d;
    if (!CALL(cli, ws_DescribeWorkflowExecution, &request, &d)) return cli_fail_call(cli, "describing workflow");
    const struct pb_workflow_WorkflowExecutionInfo *info = d->workflow_execution_info;
    if (info == NULL || info->execution == NULL) return cli_fail(cli, "the server's answer says nothing about the workflow");
    node_new(&tree, info->execution->workflow_id, info->execution->run_id, info->type != NULL ? info->type->name : STR_EMPTY, 0);
    while (!tree.has_failed && tree.open > 0) {
        ask_all(&tree);
        loop_run_once(cli->loop, duration_ms(200));
        cli->now = loop_now(cli->loop);
        if (!is_open(tree.root) && !instant_is_set(closed)) closed = cli->now;
        if (instant_is_set(closed) && instant_since(cli->now, closed).ns > NS_PER_S) break; /* children that outlive it are not waited for */
        bool is_due = tree.has_changed ? instant_since(cli->now, drawn).ns > 100 * NS_PER_MS : instant_since(cli->now, drawn).ns > NS_PER_S;
        if (cli->width == 0 || cli->format != FORMAT_TEXT || !is_due) continue; /* without a terminal once, at the end */
        lines = draw(&tree, lines);
        drawn = cli->now;
        tree.has_changed = false;
    }
    if (tree.has_failed) return 1;
    if (cli->format == FORMAT_TEXT) draw(&tree, lines);
    return 0;
}
