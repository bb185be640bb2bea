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
    struct fairness_group *group;
    for (size_t at = 0; (group = map_next(&level->by_key, &at, NULL)) != NULL;) free(group);
    map_fini(&level->by_key);
    heap_fini(&level->groups);
    heap_fini(&level->held);
}

static struct fairness_group *group_for(struct level *level, struct str key, float weight)
{
    struct fairness_group *group = map_get(&level->by_key, key);
    if (group == NULL && !str_is_empty(key) && map_count(&level->by_key) >= GROUPS_MAX) {
        reach("level: more fairness keys than are kept apart");
        return group_for(level, STR_EMPTY, 1);
    }
    if (group == NULL) {
        group = xcalloc(1, sizeof *group + key.size);
        if (key.size != 0) memcpy(group + 1, key.data, key.size);
        group->key = str_make(group + 1, key.size);
        list_init(&group->tasks);
        map_put(&level->by_key, key, group);
    }
    group->weight = weight;
    return group;
}

static void group_activate(struct level *level, struct fairness_group *group)
{
    if (heap_has(&group->node)) return;
    if (group->pass < level->pass) group->pass = level->pass;
    heap_put(&level->groups, &group->node, (instant){group->pass});
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
    struct fairness_group *group = group_for(level, task->task.fairness_key, weight);
    insert_by_order(&group->tasks, task);
    task->group = group;
    level->task_count++;
    group_activate(level, group);
}

void level_remove(struct level *level, struct queued_task *task)
{
    ensure(task->group != NULL && level->task_count != 0);
    list_remove(&task->link);
    task->group = NULL;
    level->task_count--;
}

static void group_drop(struct level *level, struct fairness_group *group)
{
    ensure(list_is_empty(&group->tasks));
    map_remove(&level->by_key, group->key);
    free(group);
}

static void release_held(struct level *level, instant now)
{
    struct heap_node *node;
    while ((node = heap_first(&level->held)) != NULL && !instant_before(now, node->due)) {
        heap_remove(&level->held, node);
        group_activate(level, container_of(node, struct fairness_group, node));
    }
}

struct queued_task *level_take(struct level *level, double key_rate, instant now)
{
    release_held(level, now);
    struct heap_node *node;
    while ((node = heap_first(&level->groups)) != NULL) {
        struct fairness_group *group = container_of(node, struct fairness_group, node);
        struct list *first = list_first(&group->tasks);
        if (group->pass > level->pass) level->pass = group->pass;
        if (first == NULL) {
            heap_remove(&level->groups, node);
            group_drop(level, group);
            continue;
        }
        if (key_rate >= 0 && instant_before(now, group->rate_next)) {
            heap_remove(&level->groups, node);
            heap_put(&level->held, node, group->rate_next);
            continue;
        }
        struct queued_task *task = container_of(first, struct queued_task, link);
        level_remove(level, task);
        group->pass += (int64_t)((double)PASS_UNIT / (double)group->weight);
        if (key_rate >= 0) {
            duration gap = key_rate > 0 ? (duration){(int64_t)((double)NS_PER_S / key_rate)} : duration_s(3600);
            group->rate_next = instant_add(instant_max(group->rate_next, now), gap);
        }
        heap_remove(&level->groups, node);
        heap_put(&level->groups, node, (instant){group->pass});
        return task;
    }
    return NULL;
}

instant level_oldest(const struct level *level)
{
    instant oldest = INSTANT_NEVER;
    struct fairness_group *group;
    for (size_t at = 0; (group = map_next(&level->by_key, &at, NULL)) != NULL;) {
        struct list *first = list_first(&group->tasks);
        if (first != NULL) oldest = instant_min(oldest, container_of(first, struct queued_task, link)->offered_at);
    }
    return oldest;
}
