/* matching/level.c: the tasks of one priority. Fairness keys take turns: each group has a pass, a point in virtual time
 * that moves on by 1/weight with each task served; the group with the least pass is next. A group that comes back after
 * a rest begins at the level's own pass, so nobody saves up turns, and one that has just emptied is remembered until the
 * level has caught up with it, so nobody gets ahead by coming and going. */
#include "matching/internal.h"

#include <stdlib.h>

#define PASS_UNIT INT64_C(1000000)
enum { GROUPS_MAX = 1000 };

void level_fini(struct level *level)
{
    struct shares *shares = level->shares;
    if (shares == NULL) return;
    struct fairness_group *group;
    for (size_t at = 0; (group = map_next(&shares->by_key, &at, NULL)) != NULL;) free(group);
    map_fini(&shares->by_key);
    heap_fini(&shares->groups);
    heap_fini(&shares->held);
    free(shares);
    level->shares = NULL;
}

static struct fairness_group *group_for(struct shares *shares, struct str key, float weight)
{
    struct fairness_group *group = map_get(&shares->by_key, key);
    if (group == NULL && !str_is_empty(key) && map_count(&shares->by_key) >= GROUPS_MAX) {
        reach("level: more fairness keys than are kept apart");
        return group_for(shares, STR_EMPTY, 1);
    }
    if (group == NULL) {
        group = xcalloc(1, sizeof *group + key.size);
        if (key.size != 0) memcpy(group + 1, key.data, key.size);
        group->key = str_make(group + 1, key.size);
        list_init(&group->tasks);
        map_put(&shares->by_key, key, group);
    }
    group->weight = weight;
    return group;
}

static void group_activate(struct shares *shares, struct fairness_group *group)
{
    if (heap_has(&group->node)) return;
    if (group->pass < shares->pass) group->pass = shares->pass;
    heap_put(&shares->groups, &group->node, (instant){group->pass});
}

/* New tasks go to the end, tasks given back to the front: both ends are tried. */
static void insert_by_order(struct list *tasks, struct queued_task *task)
{
    struct list *first = list_first(tasks);
    if (first != NULL && task->order < container_of(first, struct queued_task, link)->order) {
        list_push_front(tasks, &task->link);
        return;
    }
    struct list *at = tasks;
    while (at->prev != tasks && container_of(at->prev, struct queued_task, link)->order > task->order) at = at->prev;
    list_insert_before(at, &task->link);
}

void level_insert(struct level *level, struct queued_task *task, float weight)
{
    if (level->shares == NULL) level->shares = xcalloc(1, sizeof *level->shares);
    struct fairness_group *group = group_for(level->shares, task->task.fairness_key, weight);
    insert_by_order(&group->tasks, task);
    task->group = group;
    level->task_count++;
    group_activate(level->shares, group);
}

void level_remove(struct level *level, struct queued_task *task)
{
    ensure(task->group != NULL && level->task_count != 0);
    list_remove(&task->link);
    task->group = NULL;
    level->task_count--;
}

static void group_drop(struct shares *shares, struct fairness_group *group)
{
    ensure(list_is_empty(&group->tasks));
    map_remove(&shares->by_key, group->key);
    free(group);
}

static void release_held(struct shares *shares, instant now)
{
    struct heap_node *node;
    while ((node = heap_first(&shares->held)) != NULL && !instant_before(now, node->due)) {
        heap_remove(&shares->held, node);
        group_activate(shares, container_of(node, struct fairness_group, node));
    }
}

struct queued_task *level_take(struct level *level, double key_rate, instant now)
{
    struct shares *shares = level->shares;
    if (shares == NULL) return NULL;
    release_held(shares, now);
    struct heap_node *node;
    while ((node = heap_first(&shares->groups)) != NULL) {
        struct fairness_group *group = container_of(node, struct fairness_group, node);
        struct list *first = list_first(&group->tasks);
        if (group->pass > shares->pass) shares->pass = group->pass;
        if (key_rate >= 0 && instant_before(now, group->rate_next)) { /* also one without tasks: its next one would come too early */
            heap_remove(&shares->groups, node);
            heap_put(&shares->held, node, group->rate_next);
            continue;
        }
        if (first == NULL) {
            heap_remove(&shares->groups, node);
            group_drop(shares, group);
            continue;
        }
        struct queued_task *task = container_of(first, struct queued_task, link);
        level_remove(level, task);
        group->pass += (int64_t)((double)PASS_UNIT / (double)group->weight);
        if (key_rate >= 0) {
            double rate = key_rate * (double)group->weight; /* a key that weighs more may also go faster */
            duration gap = rate > 0 ? (duration){(int64_t)((double)NS_PER_S / rate)} : duration_s(3600);
            group->rate_next = instant_add(instant_max(group->rate_next, now), gap);
        }
        heap_remove(&shares->groups, node);
        heap_put(&shares->groups, node, (instant){group->pass});
        return task;
    }
    return NULL;
}

struct fairness_group *level_next_group(const struct level *level, size_t *at)
{
    return level->shares != NULL ? map_next(&level->shares->by_key, at, NULL) : NULL;
}

instant level_next_due(const struct level *level)
{
    const struct heap_node *node = level->shares != NULL ? heap_first(&level->shares->held) : NULL;
    return node != NULL ? node->due : INSTANT_NEVER;
}

void level_release(struct level *level, instant now)
{
    struct heap_node *node;
    while (level->shares != NULL && (node = heap_first(&level->shares->held)) != NULL) {
        heap_remove(&level->shares->held, node);
        heap_put(&level->shares->groups, node, (instant){container_of(node, struct fairness_group, node)->pass});
    }
    struct fairness_group *group;
    for (size_t at = 0; (group = level_next_group(level, &at)) != NULL;) group->rate_next = now;
}

void level_set_weight(struct level *level, struct str key, float weight)
{
    struct fairness_group *group = level->shares != NULL ? map_get(&level->shares->by_key, key) : NULL;
    if (group != NULL) group->weight = weight;
}

instant level_oldest(const struct level *level)
{
    instant oldest = INSTANT_NEVER;
    struct fairness_group *group;
    for (size_t at = 0; (group = level_next_group(level, &at)) != NULL;) {
        struct list *first = list_first(&group->tasks);
        if (first != NULL) oldest = instant_min(oldest, container_of(first, struct queued_task, link)->offered_at);
    }
    return oldest;
}

int64_t level_first_order(const struct level *level)
{
    int64_t least = INT64_MAX;
    struct fairness_group *group;
    for (size_t at = 0; (group = level_next_group(level, &at)) != NULL;) {
        struct list *first = list_first(&group->tasks);
        if (first != NULL && container_of(first, struct queued_task, link)->order < least) least = container_of(first, struct queued_task, link)->order;
    }
    return least;
}
