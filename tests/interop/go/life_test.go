package interop

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/api/common/v1"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

func Hello(ctx workflow.Context, name string) (string, error) { return "Hello, " + name + "!", nil }

func TestHello(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Hello})
	for _, eager := range []bool{false, true} {
		expect(l, "result", result[string](l, l.runWith(client.StartWorkflowOptions{EnableEagerStart: eager}, Hello, "Temporal")), "Hello, Temporal!")
	}
}

func TestStartAgain(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Child})
	id := l.id()
	first := l.runWith(client.StartWorkflowOptions{ID: id}, Child, "wait")
	_, err := server.ExecuteWorkflow(l.ctx, client.StartWorkflowOptions{ID: id, TaskQueue: l.queue, WorkflowExecutionErrorWhenAlreadyStarted: true}, Child, "ok")
	expect(l, "run that is in the way", expectAs[*serviceerror.WorkflowExecutionAlreadyStarted](l, err).RunId, first.GetRunID())
	same := l.runWith(client.StartWorkflowOptions{ID: id, WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING}, Child, "ok")
	expect(l, "run", same.GetRunID(), first.GetRunID())
	other := l.runWith(client.StartWorkflowOptions{ID: id, WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_TERMINATE_EXISTING}, Child, "ok")
	expectAs[*temporal.TerminatedError](l, first.Get(l.ctx, nil))
	expect(l, "result", result[string](l, other), "well")
	_, err = server.ExecuteWorkflow(l.ctx, client.StartWorkflowOptions{ID: id, TaskQueue: l.queue, WorkflowExecutionErrorWhenAlreadyStarted: true,
		WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE}, Child, "ok")
	expectAs[*serviceerror.WorkflowExecutionAlreadyStarted](l, err)
}

func TestStartDelayAndSummary(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Hello})
	run := l.runWith(client.StartWorkflowOptions{StartDelay: 300 * time.Millisecond, StaticSummary: "in short", StaticDetails: "at length"}, Hello, "late")
	result[string](l, run)
	started := l.events(run.GetID(), "")[0].GetWorkflowExecutionStartedEventAttributes()
	expect(l, "delay", started.FirstWorkflowTaskBackoff.AsDuration(), 300*time.Millisecond)
	d, err := server.DescribeWorkflow(l.ctx, run.GetID(), "")
	l.must(err)
	summary, err := d.GetStaticSummary()
	l.must(err)
	details, err := d.GetStaticDetails()
	l.must(err)
	expect(l, "metadata", summary+" "+details, "in short at length")
}

// FailsTwice fails until its third attempt.
func FailsTwice(ctx workflow.Context) (int32, error) {
	if now := workflow.GetInfo(ctx).Attempt; now >= 3 {
		return now, nil
	}
	return 0, errors.New("not yet")
}

func TestWorkflowRetries(t *testing.T) {
	l := begin(t, worker.Options{}, []any{FailsTwice})
	run := l.runWith(client.StartWorkflowOptions{RetryPolicy: quick(5)}, FailsTwice)
	first := run.GetRunID()
	expect(l, "attempt", result[int32](l, run), 3)
	expect(l, "status of the first run", l.status(run.GetID(), first), enums.WORKFLOW_EXECUTION_STATUS_FAILED)
}

// Adds one to what the run before it returned.
func Adds(ctx workflow.Context) (int, error) {
	sum := 0
	if workflow.HasLastCompletionResult(ctx) {
		if err := workflow.GetLastCompletionResult(ctx, &sum); err != nil {
			return 0, err
		}
	}
	return sum + 1, nil
}

func TestCron(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Adds})
	run := l.runWith(client.StartWorkflowOptions{CronSchedule: "@every 1s"}, Adds)
	l.eventually("the third run waits", func() bool {
		events := l.events(run.GetID(), "")
		last := events[0].GetWorkflowExecutionStartedEventAttributes().LastCompletionResult
		if last == nil {
			return false
		}
		var n int
		l.must(client.NewValue(last).Get(&n))
		return n >= 2
	})
	l.must(server.TerminateWorkflow(l.ctx, run.GetID(), "", "enough"))
}

func TestWorkflowTimeouts(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Child})
	for _, options := range []client.StartWorkflowOptions{{WorkflowRunTimeout: 300 * time.Millisecond}, {WorkflowExecutionTimeout: 300 * time.Millisecond}} {
		run := l.runWith(options, Child, "wait")
		expectAs[*temporal.TimeoutError](l, run.Get(l.ctx, nil))
		expect(l, "status", l.status(run.GetID(), ""), enums.WORKFLOW_EXECUTION_STATUS_TIMED_OUT)
	}
}

// TidiesUp is cancelled while it waits for what it is told, then runs an activity in a scope that the cancellation does not reach.
func TidiesUp(ctx workflow.Context, what string) (string, error) {
	var err error
	switch what {
	case "timer":
		err = workflow.Sleep(ctx, time.Hour)
	case "activity":
		err = workflow.ExecuteActivity(acting(ctx, workflow.ActivityOptions{HeartbeatTimeout: time.Minute, WaitForCancellation: true}), Hangs, true).Get(ctx, nil)
	case "await":
		err = workflow.Await(ctx, func() bool { return false })
	}
	if !temporal.IsCanceledError(err) {
		return "", fmt.Errorf("was not cancelled: %w", err)
	}
	apart, _ := workflow.NewDisconnectedContext(ctx)
	var n int
	if err := workflow.ExecuteActivity(acting(apart, workflow.ActivityOptions{}), Echo, 7).Get(apart, &n); err != nil {
		return "", err
	}
	return fmt.Sprint("tidied ", n), nil
}

func TestCancellationScopes(t *testing.T) {
	l := begin(t, worker.Options{MaxHeartbeatThrottleInterval: 50 * time.Millisecond}, []any{TidiesUp}, Hangs, Echo)
	for _, what := range words("timer activity await") {
		run := l.run(TidiesUp, what)
		l.eventually("it waits", func() bool { return l.count(run.GetID(), "", enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED) > 0 })
		l.must(server.CancelWorkflow(l.ctx, run.GetID(), ""))
		l.must(server.CancelWorkflow(l.ctx, run.GetID(), run.GetRunID()))
		expect(l, what, result[string](l, run), "tidied 7")
	}
	expectAs[*serviceerror.NotFound](l, server.CancelWorkflow(l.ctx, l.id(), ""))
}

// CancelsAScope cancels one of two scopes of timers; the other goes on.
func CancelsAScope(ctx workflow.Context) (string, error) {
	scope, cancel := workflow.WithCancel(ctx)
	inner, _ := workflow.WithCancel(scope)
	long, nested, short := workflow.NewTimer(scope, time.Hour), workflow.NewTimer(inner, time.Hour), workflow.NewTimer(ctx, 50*time.Millisecond)
	if err := workflow.Sleep(ctx, 20*time.Millisecond); err != nil {
		return "", err
	}
	cancel()
	return fmt.Sprint(temporal.IsCanceledError(long.Get(ctx, nil)), temporal.IsCanceledError(nested.Get(ctx, nil)), short.Get(ctx, nil) == nil), nil
}

func TestCancelledTimers(t *testing.T) {
	l := begin(t, worker.Options{}, []any{CancelsAScope})
	run := l.run(CancelsAScope)
	expect(l, "said", result[string](l, run), "true true true")
	expect(l, "cancelled timers", l.count(run.GetID(), "", enums.EVENT_TYPE_TIMER_CANCELED), 2)
}

func TestTerminate(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Child})
	run := l.run(Child, "wait")
	l.eventually("it waits", func() bool { return l.count(run.GetID(), "", enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED) > 0 })
	l.must(server.TerminateWorkflow(l.ctx, run.GetID(), "", "enough", "a detail"))
	expectAs[*temporal.TerminatedError](l, run.Get(l.ctx, nil))
	expectAs[*serviceerror.NotFound](l, server.TerminateWorkflow(l.ctx, run.GetID(), "", "again"))
}

// Remembers uses what markers keep: side effects, mutable side effects, versions, random values, and changes memo and attributes.
func Remembers(ctx workflow.Context) (string, error) {
	one := func(workflow.Context) any { return uuid.NewString() }
	var id, config, again string
	if err := workflow.SideEffect(ctx, one).Get(&id); err != nil {
		return "", err
	}
	same := func(a, b any) bool { return a == b }
	for i, to := range []*string{&config, &again} {
		if err := workflow.MutableSideEffect(ctx, "config", func(workflow.Context) any { return fmt.Sprint("setting ", i/2) }, same).Get(to); err != nil {
			return "", err
		}
	}
	version := workflow.GetVersion(ctx, "first", workflow.DefaultVersion, 3)
	if err := workflow.UpsertTypedSearchAttributes(ctx, colour.ValueSet("blue"), weight.ValueSet(7), tags.ValueSet([]string{"a", "b"})); err != nil {
		return "", err
	}
	if err := workflow.UpsertMemo(ctx, map[string]any{"note": "new", "dropped": nil}); err != nil {
		return "", err
	}
	if err := workflow.Sleep(ctx, 10*time.Millisecond); err != nil {
		return "", err
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, weight.ValueUnset()); err != nil {
		return "", err
	}
	_, isHeavy := workflow.GetTypedSearchAttributes(ctx).GetInt64(weight)
	return fmt.Sprint(len(id), config == again, version, workflow.GetVersion(ctx, "first", workflow.DefaultVersion, 3) == version, isHeavy), nil
}

func TestMarkersMemoAndSearchAttributes(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Remembers})
	run := l.runWith(client.StartWorkflowOptions{Memo: map[string]any{"note": "old", "dropped": "soon", "kept": 1},
		TypedSearchAttributes: temporal.NewSearchAttributes(colour.ValueSet("red"))}, Remembers)
	expect(l, "said", result[string](l, run), "36 true 3 true false")
	d, err := server.DescribeWorkflow(l.ctx, run.GetID(), "")
	l.must(err)
	painted, _ := d.TypedSearchAttributes.GetKeyword(colour)
	tagged, _ := d.TypedSearchAttributes.GetKeywordList(tags)
	_, isHeavy := d.TypedSearchAttributes.GetInt64(weight)
	expect(l, "attributes", fmt.Sprint(painted, tagged, isHeavy), "blue[a b] false")
	var note string
	l.must(d.GetMemoValue("note", &note))
	expect(l, "memo", fmt.Sprint(note, len(d.Memo.Fields)), "new2")
	for query, wanted := range map[string]int{"InteropColour = 'blue'": 1, "InteropColour = 'red'": 0, "InteropTags = 'b'": 1, "InteropWeight IS NULL": 1,
		"InteropColour STARTS_WITH 'bl' AND WorkflowType = 'Remembers'": 1, "TemporalChangeVersion = 'first-3'": 1} {
		page, err := server.ListWorkflow(l.ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: fmt.Sprintf("TaskQueue = '%s' AND (%s)", l.queue, query)})
		l.must(err)
		expect(l, query, len(page.Executions), wanted)
		count, err := server.CountWorkflow(l.ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: fmt.Sprintf("TaskQueue = '%s' AND (%s)", l.queue, query)})
		l.must(err)
		expect(l, "count of "+query, int(count.Count), wanted)
	}
}

func TestUnknownSearchAttribute(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Hello})
	result[string](l, l.run(Hello, "first"))
	unknown := temporal.NewSearchAttributeKeyBool("NeverRegistered")
	_, err := server.ExecuteWorkflow(l.ctx, client.StartWorkflowOptions{TaskQueue: l.queue, TypedSearchAttributes: temporal.NewSearchAttributes(unknown.ValueSet(true))}, Hello, "x")
	expectAs[*serviceerror.InvalidArgument](l, err)
}

func TestReset(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Collects})
	run := l.run(Collects)
	l.eventually("it waits", func() bool { return l.count(run.GetID(), "", enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED) > 0 })
	l.must(server.SignalWorkflow(l.ctx, run.GetID(), "", "say", "kept"))
	l.must(server.SignalWorkflow(l.ctx, run.GetID(), "", "say", "end"))
	result[[]string](l, run)
	again, err := server.ResetWorkflowExecution(l.ctx, &workflowservice.ResetWorkflowExecutionRequest{Namespace: "default", RequestId: uuid.NewString(),
		WorkflowExecution: &common.WorkflowExecution{WorkflowId: run.GetID(), RunId: run.GetRunID()}, WorkflowTaskFinishEventId: 4, Reason: "once more"})
	l.must(err)
	said := result[[]string](l, server.GetWorkflow(l.ctx, run.GetID(), again.RunId)) // both signals were given to the new run
	expect(l, "said", fmt.Sprint(said), "[kept]")
}

// Panics until the test allows it to go on; its task fails and is tried again.
var mayGoOn = make(chan struct{})

func Panics(ctx workflow.Context) (string, error) {
	select {
	case <-mayGoOn:
		return "recovered", nil
	default:
		panic("not yet")
	}
}

func TestFailedTaskIsTriedAgain(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Panics})
	run := l.runWith(client.StartWorkflowOptions{WorkflowTaskTimeout: time.Second}, Panics)
	l.eventually("a task has failed", func() bool { return l.count(run.GetID(), "", enums.EVENT_TYPE_WORKFLOW_TASK_FAILED) > 0 })
	close(mayGoOn)
	expect(l, "result", result[string](l, run), "recovered")
}

func TestUnknownWorkflowTypeWaitsForAWorkerThatKnowsIt(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Hello})
	run := l.runWith(client.StartWorkflowOptions{WorkflowTaskTimeout: time.Second}, FailsTwice)
	l.eventually("a task has failed", func() bool { return l.count(run.GetID(), "", enums.EVENT_TYPE_WORKFLOW_TASK_FAILED) > 0 })
	l.worker.Stop()
	l.workflows = append(l.workflows, FailsTwice)
	l.start()
	expectAs[*temporal.ApplicationError](l, run.Get(l.ctx, nil))
}

func TestManyWorkflows(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Fans}, Echo)
	var runs []client.WorkflowRun
	for range 100 {
		runs = append(runs, l.run(Fans, 3))
	}
	for _, run := range runs {
		expect(l, "sum", result[int](l, run), 3)
	}
	listed := 0
	request := &workflowservice.ListWorkflowExecutionsRequest{Query: fmt.Sprintf("TaskQueue = '%s' AND ExecutionStatus = 'Completed'", l.queue), PageSize: 7}
	for {
		page, err := server.ListWorkflow(l.ctx, request)
		l.must(err)
		listed += len(page.Executions)
		if request.NextPageToken = page.NextPageToken; len(request.NextPageToken) == 0 {
			break
		}
	}
	expect(l, "workflows listed in pages of seven", listed, 100)
}

func TestSchedule(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Hello})
	schedules := server.ScheduleClient()
	action := &client.ScheduleWorkflowAction{ID: l.id(), Workflow: Hello, Args: []any{"planned"}, TaskQueue: l.queue}
	options := client.ScheduleOptions{ID: l.id(), Action: action, Paused: true, Note: "at first", Memo: map[string]any{"owner": "us"},
		Spec: client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: time.Hour}}}, Overlap: enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL}
	schedule, err := schedules.Create(l.ctx, options)
	l.must(err)
	_, err = schedules.Create(l.ctx, options)
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		l.Fatal(err)
	}
	described := func() *client.ScheduleDescription {
		d, err := schedule.Describe(l.ctx)
		l.must(err)
		return d
	}
	d := described()
	expect(l, "state", fmt.Sprint(d.Schedule.State.Paused, d.Schedule.State.Note, len(d.Info.NextActionTimes) > 0), "trueat firsttrue")
	l.must(schedule.Trigger(l.ctx, client.ScheduleTriggerOptions{}))
	l.eventually("it was triggered", func() bool { return len(described().Info.RecentActions) == 1 })
	started := described().Info.RecentActions[0].StartWorkflowResult
	expect(l, "result", result[string](l, server.GetWorkflow(l.ctx, started.WorkflowID, started.FirstExecutionRunID)), "Hello, planned!")
	l.must(schedule.Unpause(l.ctx, client.ScheduleUnpauseOptions{Note: "go"}))
	expect(l, "note", described().Schedule.State.Note, "go")
	l.must(schedule.Pause(l.ctx, client.SchedulePauseOptions{Note: "stop"}))
	expect(l, "paused", described().Schedule.State.Paused, true)
	l.must(schedule.Update(l.ctx, client.ScheduleUpdateOptions{DoUpdate: func(input client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
		next := input.Description.Schedule
		next.Spec = &client.ScheduleSpec{Calendars: []client.ScheduleCalendarSpec{{Hour: []client.ScheduleRange{{Start: 3}}}}}
		next.State.Note = "calendar"
		return &client.ScheduleUpdate{Schedule: &next}, nil
	}}))
	l.eventually("it was changed", func() bool {
		d := described()
		return d.Schedule.State.Note == "calendar" && len(d.Schedule.Spec.Calendars) == 1
	})
	now := time.Now().UTC().Truncate(24 * time.Hour)
	l.must(schedule.Backfill(l.ctx, client.ScheduleBackfillOptions{Backfill: []client.ScheduleBackfill{{Start: now.AddDate(0, 0, -3), End: now,
		Overlap: enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL}}}))
	l.eventually("three days were filled in", func() bool { return described().Info.NumActions == 4 })
	l.eventually("all runs are over", func() bool { return len(described().Info.RunningWorkflows) == 0 })
	iterator, err := schedules.List(l.ctx, client.ScheduleListOptions{PageSize: 2})
	l.must(err)
	listed := false
	for iterator.HasNext() {
		entry, err := iterator.Next()
		l.must(err)
		listed = listed || entry.ID == schedule.GetID()
	}
	expect(l, "listed", listed, true)
	l.must(schedule.Delete(l.ctx))
	_, err = schedule.Describe(l.ctx)
	expectAs[*serviceerror.NotFound](l, err)
}

func TestScheduleFires(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Hello})
	schedule, err := server.ScheduleClient().Create(l.ctx, client.ScheduleOptions{ID: l.id(), RemainingActions: 2,
		Spec:   client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: time.Second}}},
		Action: &client.ScheduleWorkflowAction{ID: l.id(), Workflow: Hello, Args: []any{"clock"}, TaskQueue: l.queue}})
	l.must(err)
	l.eventually("both actions were taken", func() bool {
		d, err := schedule.Describe(l.ctx)
		l.must(err)
		return d.Info.NumActions == 2 && len(d.Info.RunningWorkflows) == 0 && d.Schedule.State.RemainingActions == 0
	})
	l.must(schedule.Delete(l.ctx))
}

func TestTaskQueueIsDescribed(t *testing.T) {
	l := begin(t, worker.Options{Identity: "the worker of this test"}, []any{Hello})
	result[string](l, l.run(Hello, "first"))
	l.eventually("its poller is seen", func() bool {
		d, err := server.DescribeTaskQueue(l.ctx, l.queue, enums.TASK_QUEUE_TYPE_WORKFLOW)
		l.must(err)
		return len(d.Pollers) == 1 && d.Pollers[0].Identity == "the worker of this test"
	})
}

func TestClientCancelsItsWait(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Child})
	run := l.run(Child, "wait")
	ctx, cancel := context.WithTimeout(l.ctx, 200*time.Millisecond)
	defer cancel()
	err := run.Get(ctx, nil)
	var late *serviceerror.DeadlineExceeded
	if !errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &late) && ctx.Err() == nil {
		l.Fatal(err)
	}
	l.must(server.CancelWorkflow(l.ctx, run.GetID(), ""))
	expectAs[*temporal.CanceledError](l, run.Get(l.ctx, nil))
}
