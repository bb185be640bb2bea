package interop

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Collects says what it was told, in order, when it is told "end".
func Collects(ctx workflow.Context) ([]string, error) {
	var said []string
	if err := workflow.SetQueryHandler(ctx, "said", func(prefix string) ([]string, error) {
		if prefix == "bad" {
			return nil, temporal.NewApplicationError("no such prefix", "BadPrefix")
		}
		out := []string{}
		for _, s := range said {
			out = append(out, prefix+s)
		}
		return out, nil
	}); err != nil {
		return nil, err
	}
	for {
		var text string
		workflow.GetSignalChannel(ctx, "say").Receive(ctx, &text)
		if text == "end" {
			return said, nil
		}
		said = append(said, text)
	}
}

func TestSignals(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Collects})
	run := l.run(Collects)
	var wanted []string
	for i := range 30 {
		wanted = append(wanted, fmt.Sprint(i))
		l.must(server.SignalWorkflow(l.ctx, run.GetID(), run.GetRunID(), "say", fmt.Sprint(i)))
	}
	l.must(server.SignalWorkflow(l.ctx, run.GetID(), "", "say", "end"))
	expect(l, "said", strings.Join(result[[]string](l, run), " "), strings.Join(wanted, " "))
	expectAs[*serviceerror.NotFound](l, server.SignalWorkflow(l.ctx, run.GetID(), "", "say", "late"))
	expectAs[*serviceerror.NotFound](l, server.SignalWorkflow(l.ctx, l.id(), "", "say", "to nobody"))
}

func TestSignalWithStart(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Collects})
	options := client.StartWorkflowOptions{ID: l.id(), TaskQueue: l.queue}
	first, err := server.SignalWithStartWorkflow(l.ctx, options.ID, "say", "one", options, Collects)
	l.must(err)
	second, err := server.SignalWithStartWorkflow(l.ctx, options.ID, "say", "two", options, Collects)
	l.must(err)
	expect(l, "run", second.GetRunID(), first.GetRunID())
	_, err = server.SignalWithStartWorkflow(l.ctx, options.ID, "say", "end", options, Collects)
	l.must(err)
	expect(l, "said", strings.Join(result[[]string](l, first), " "), "one two")
	third, err := server.SignalWithStartWorkflow(l.ctx, options.ID, "say", "end", options, Collects)
	l.must(err)
	if third.GetRunID() == first.GetRunID() {
		l.Fatal("a closed run was signalled")
	}
	expect(l, "said by the new run", len(result[[]string](l, third)), 0)
}

func TestSignalsBeforeTheWorkerComes(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Collects})
	l.worker.Stop()
	run := l.run(Collects)
	for _, text := range words("a b c end") {
		l.must(server.SignalWorkflow(l.ctx, run.GetID(), "", "say", text))
	}
	l.start()
	expect(l, "said", strings.Join(result[[]string](l, run), " "), "a b c")
	expect(l, "workflow tasks", l.count(run.GetID(), "", enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED), 1)
}

func TestQueries(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Collects})
	run := l.run(Collects)
	said := func(prefix string) string {
		value, err := server.QueryWorkflow(l.ctx, run.GetID(), "", "said", prefix)
		l.must(err)
		var out []string
		l.must(value.Get(&out))
		return strings.Join(out, " ")
	}
	expect(l, "said at first", said("-"), "")
	for i := range 10 { // what was acknowledged before is seen by the query
		l.must(server.SignalWorkflow(l.ctx, run.GetID(), "", "say", fmt.Sprint(i)))
		expect(l, "count", len(strings.Fields(said("-"))), i+1)
	}
	before := len(l.events(run.GetID(), ""))
	_, err := server.QueryWorkflow(l.ctx, run.GetID(), "", "said", "bad")
	if failed := expectAs[*serviceerror.QueryFailed](l, err); !strings.Contains(failed.Error(), "no such prefix") {
		l.Fatal(failed)
	}
	_, err = server.QueryWorkflow(l.ctx, run.GetID(), "", "nothing")
	expectAs[*serviceerror.QueryFailed](l, err)
	_, err = server.QueryWorkflow(l.ctx, l.id(), "", "said", "-")
	expectAs[*serviceerror.NotFound](l, err)
	stack, err := server.QueryWorkflow(l.ctx, run.GetID(), "", client.QueryTypeStackTrace)
	l.must(err)
	var trace string
	l.must(stack.Get(&trace))
	if !strings.Contains(trace, "Collects") {
		l.Fatal(trace)
	}
	expect(l, "events that queries wrote", len(l.events(run.GetID(), ""))-before, 0)
	l.must(server.SignalWorkflow(l.ctx, run.GetID(), "", "say", "end"))
	result[[]string](l, run)
	expect(l, "of the closed run", said(""), "0 1 2 3 4 5 6 7 8 9")
	reply, err := server.QueryWorkflowWithOptions(l.ctx, &client.QueryWorkflowWithOptionsRequest{WorkflowID: run.GetID(), QueryType: "said",
		Args: []any{""}, QueryRejectCondition: enums.QUERY_REJECT_CONDITION_NOT_OPEN})
	l.must(err)
	expect(l, "rejected for", reply.QueryRejected.GetStatus(), enums.WORKFLOW_EXECUTION_STATUS_COMPLETED)
}

func TestManyQueriesAtOnce(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Collects})
	run := l.run(Collects)
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if err := server.SignalWorkflow(l.ctx, run.GetID(), "", "say", fmt.Sprint(i)); err != nil {
				l.Error(err)
			}
			value, err := server.QueryWorkflow(l.ctx, run.GetID(), "", "said", "")
			var out []string
			if err == nil {
				err = value.Get(&out)
			}
			if err != nil || !strings.Contains(" "+strings.Join(out, " ")+" ", fmt.Sprintf(" %d ", i)) {
				l.Errorf("after signal %d: %v %v", i, out, err)
			}
		})
	}
	group.Wait()
	l.must(server.SignalWorkflow(l.ctx, run.GetID(), "", "say", "end"))
	expect(l, "said", len(result[[]string](l, run)), 20)
}

// Account is changed by updates only; "close" ends it. An update may wait for an activity or for another update.
func Account(ctx workflow.Context, balance int) (int, error) {
	isClosed := false
	err := workflow.SetUpdateHandlerWithOptions(ctx, "deposit", func(ctx workflow.Context, by int) (int, error) {
		if by == 13 {
			return 0, temporal.NewApplicationError("unlucky", "Unlucky", by)
		}
		if err := workflow.ExecuteActivity(acting(ctx, workflow.ActivityOptions{}), Echo, by).Get(ctx, &by); err != nil {
			return 0, err
		}
		balance += by
		return balance, nil
	}, workflow.UpdateHandlerOptions{Validator: func(by int) error {
		if by < 0 {
			return temporal.NewApplicationError("only upwards", "Negative")
		}
		return nil
	}})
	if err != nil {
		return 0, err
	}
	if err := workflow.SetUpdateHandler(ctx, "await", func(ctx workflow.Context, level int) (string, error) {
		err := workflow.Await(ctx, func() bool { return balance >= level })
		return workflow.GetCurrentUpdateInfo(ctx).ID, err
	}); err != nil {
		return 0, err
	}
	if err := workflow.SetUpdateHandler(ctx, "close", func(ctx workflow.Context) error {
		isClosed = true
		return nil
	}); err != nil {
		return 0, err
	}
	if err := workflow.Await(ctx, func() bool { return isClosed && workflow.AllHandlersFinished(ctx) }); err != nil {
		return 0, err
	}
	return balance, nil
}

func (l *lab) update(id, name string, stage client.WorkflowUpdateStage, args ...any) (client.WorkflowUpdateHandle, error) {
	return server.UpdateWorkflow(l.ctx, client.UpdateWorkflowOptions{WorkflowID: id, UpdateName: name, Args: args, WaitForStage: stage})
}

func (l *lab) updated(id, name string, args ...any) int {
	l.Helper()
	handle, err := l.update(id, name, client.WorkflowUpdateStageCompleted, args...)
	l.must(err)
	var value int
	l.must(handle.Get(l.ctx, &value))
	return value
}

func (l *lab) closeAccount(run client.WorkflowRun) int {
	l.Helper()
	handle, err := l.update(run.GetID(), "close", client.WorkflowUpdateStageCompleted)
	l.must(err)
	l.must(handle.Get(l.ctx, nil))
	return result[int](l, run)
}

func TestUpdatesAcceptedAndRejected(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Account}, Echo)
	run := l.run(Account, 100)
	expect(l, "balance", l.updated(run.GetID(), "deposit", 1), 101)
	l.eventually("the task after the activity is over", func() bool {
		events := l.events(run.GetID(), "")
		return events[len(events)-1].EventType == enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED
	})
	before := len(l.events(run.GetID(), ""))
	handle, err := l.update(run.GetID(), "deposit", client.WorkflowUpdateStageCompleted, -1)
	if err == nil {
		err = handle.Get(l.ctx, nil)
	}
	expect(l, "type of the refusal", expectAs[*temporal.ApplicationError](l, err).Type(), "Negative")
	handle, err = l.update(run.GetID(), "unheard of", client.WorkflowUpdateStageCompleted)
	if err == nil {
		err = handle.Get(l.ctx, nil)
	}
	expectAs[*temporal.ApplicationError](l, err)
	expect(l, "events that refusals wrote", len(l.events(run.GetID(), ""))-before, 0)
	handle, err = l.update(run.GetID(), "deposit", client.WorkflowUpdateStageCompleted, 13)
	if err == nil {
		err = handle.Get(l.ctx, nil)
	}
	failure := expectAs[*temporal.ApplicationError](l, err)
	var detail int
	l.must(failure.Details(&detail))
	expect(l, "type and detail of the failure", fmt.Sprint(failure.Type(), detail), "Unlucky13")
	expect(l, "balance at the end", l.closeAccount(run), 101)
	_, err = l.update(run.GetID(), "deposit", client.WorkflowUpdateStageCompleted, 1)
	expectAs[*serviceerror.NotFound](l, err)
	_, err = l.update(l.id(), "deposit", client.WorkflowUpdateStageCompleted, 1)
	expectAs[*serviceerror.NotFound](l, err)
}

func TestUpdateThatIsRejectedFirstLeavesNoTrace(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Account}, Echo)
	run := l.run(Account, 0)
	for range 3 {
		handle, err := l.update(run.GetID(), "deposit", client.WorkflowUpdateStageCompleted, -1)
		if err == nil {
			err = handle.Get(l.ctx, nil)
		}
		expectAs[*temporal.ApplicationError](l, err)
	}
	for _, e := range l.events(run.GetID(), "") {
		if strings.Contains(e.EventType.String(), "Update") {
			l.Fatal("a rejected update is in the history:", e)
		}
	}
	expect(l, "balance", l.closeAccount(run), 0)
}

func TestManyUpdatesAtOnce(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Account}, Echo)
	run := l.run(Account, 0)
	waiting, err := l.update(run.GetID(), "await", client.WorkflowUpdateStageAccepted, 150)
	l.must(err)
	var group sync.WaitGroup
	for i := 1; i <= 4; i++ { // with the one that waits, nine: a server lets ten be in flight
		for _, by := range []int{i, -i} {
			group.Go(func() {
				handle, err := l.update(run.GetID(), "deposit", client.WorkflowUpdateStageCompleted, by)
				if err == nil {
					err = handle.Get(l.ctx, nil)
				}
				if (err == nil) != (by > 0) {
					l.Errorf("deposit of %d: %v", by, err)
				}
			})
		}
	}
	group.Wait()
	expect(l, "balance", l.updated(run.GetID(), "deposit", 140), 150)
	var id string
	l.must(waiting.Get(l.ctx, &id))
	expect(l, "id that the workflow saw", id, waiting.UpdateID())
	expect(l, "balance at the end", l.closeAccount(run), 150)
}

func TestUpdateWithTheSameIDAndPolling(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Account}, Echo)
	run := l.run(Account, 0)
	options := client.UpdateWorkflowOptions{UpdateID: "the one", WorkflowID: run.GetID(), UpdateName: "deposit", Args: []any{5},
		WaitForStage: client.WorkflowUpdateStageAccepted}
	for range 3 {
		handle, err := server.UpdateWorkflow(l.ctx, options)
		l.must(err)
		var value int
		l.must(handle.Get(l.ctx, &value))
		expect(l, "value", value, 5)
	}
	var value int
	handle := server.GetWorkflowUpdateHandle(client.GetWorkflowUpdateHandleOptions{WorkflowID: run.GetID(), RunID: run.GetRunID(), UpdateID: "the one"})
	l.must(handle.Get(l.ctx, &value))
	expect(l, "value polled", value, 5)
	lost := server.GetWorkflowUpdateHandle(client.GetWorkflowUpdateHandleOptions{WorkflowID: run.GetID(), UpdateID: "never sent"})
	expectAs[*serviceerror.NotFound](l, lost.Get(l.ctx, nil))
	expect(l, "balance", l.closeAccount(run), 5)
	l.must(handle.Get(l.ctx, &value))
	expect(l, "updates in the history", l.count(run.GetID(), "", enums.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED), 2)
}

func TestUpdateWithStart(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Account}, Echo)
	id := l.id()
	both := func(policy enums.WorkflowIdConflictPolicy, by int) (int, string, error) {
		start := server.NewWithStartWorkflowOperation(client.StartWorkflowOptions{ID: id, TaskQueue: l.queue, WorkflowIDConflictPolicy: policy}, Account, 1000)
		handle, err := server.UpdateWithStartWorkflow(l.ctx, client.UpdateWithStartWorkflowOptions{StartWorkflowOperation: start,
			UpdateOptions: client.UpdateWorkflowOptions{UpdateName: "deposit", Args: []any{by}, WaitForStage: client.WorkflowUpdateStageCompleted}})
		if err != nil {
			return 0, "", err
		}
		var value int
		if err := handle.Get(l.ctx, &value); err != nil {
			return 0, "", err
		}
		run, err := start.Get(l.ctx)
		l.must(err)
		return value, run.GetRunID(), nil
	}
	value, first, err := both(enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL, 1)
	l.must(err)
	expect(l, "balance", value, 1001)
	value, second, err := both(enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, 2)
	l.must(err)
	expect(l, "balance", value, 1003)
	expect(l, "run", second, first)
	_, _, err = both(enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING, -1)
	expectAs[*temporal.ApplicationError](l, err)
	_, _, err = both(enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL, 1)
	expectAs[*serviceerror.WorkflowExecutionAlreadyStarted](l, err)
	expect(l, "balance at the end", l.closeAccount(server.GetWorkflow(l.ctx, id, first)), 1003)
}

func TestUpdateSurvivesAnotherWorker(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Account}, Echo)
	run := l.run(Account, 0)
	waiting, err := l.update(run.GetID(), "await", client.WorkflowUpdateStageAccepted, 10)
	l.must(err)
	l.restart()
	expect(l, "balance", l.updated(run.GetID(), "deposit", 10), 10)
	l.must(waiting.Get(l.ctx, nil))
	expect(l, "balance at the end", l.closeAccount(run), 10)
}

// SelectsWhatComesFirst waits for a signal or a long timer, then for nothing with a short one.
func SelectsWhatComesFirst(ctx workflow.Context) (string, error) {
	said := ""
	timers, stop := workflow.WithCancel(ctx)
	selector := workflow.NewSelector(ctx)
	selector.AddReceive(workflow.GetSignalChannel(ctx, "go"), func(c workflow.ReceiveChannel, more bool) {
		var text string
		c.Receive(ctx, &text)
		said += "signal " + text
	})
	selector.AddFuture(workflow.NewTimer(timers, time.Hour), func(f workflow.Future) { said += "timer" })
	selector.Select(ctx)
	stop()
	ok, err := workflow.AwaitWithTimeout(ctx, 50*time.Millisecond, func() bool { return false })
	return fmt.Sprint(said, ok), err
}

func TestSelectorOfSignalAndTimer(t *testing.T) {
	l := begin(t, worker.Options{}, []any{SelectsWhatComesFirst})
	run := l.run(SelectsWhatComesFirst)
	l.must(server.SignalWorkflow(l.ctx, run.GetID(), "", "go", "now"))
	expect(l, "said", result[string](l, run), "signal nowfalse")
	expect(l, "timers started", l.count(run.GetID(), "", enums.EVENT_TYPE_TIMER_STARTED)-l.count(run.GetID(), "", enums.EVENT_TYPE_TIMER_CANCELED), 1)
}
