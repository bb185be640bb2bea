package interop

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"google.golang.org/protobuf/encoding/protojson"
)

// Ten workflows take turns on a cache of what PERDURE_CACHE says; with a small one each signal meets a workflow that was dropped.
func TestWorkflowsThatTakeTurns(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Collects})
	var runs []client.WorkflowRun
	for range 10 {
		runs = append(runs, l.run(Collects))
	}
	for i := range 8 {
		for _, run := range runs {
			l.must(server.SignalWorkflow(l.ctx, run.GetID(), "", "say", fmt.Sprint(i)))
			value, err := server.QueryWorkflow(l.ctx, run.GetID(), "", "said", "")
			l.must(err)
			var said []string
			l.must(value.Get(&said))
			expect(l, "said", len(said), i+1)
		}
	}
	for _, run := range runs {
		l.must(server.SignalWorkflow(l.ctx, run.GetID(), "", "say", "end"))
		expect(l, "said", strings.Join(result[[]string](l, run), ""), "01234567")
	}
}

// LongHistory makes more events than one page of history holds.
func LongHistory(ctx workflow.Context, rounds int) (int, error) {
	sum := 0
	for range rounds {
		var futures []workflow.Future
		for i := range 20 {
			futures = append(futures, workflow.ExecuteActivity(acting(ctx, workflow.ActivityOptions{}), Echo, i))
		}
		for _, f := range futures {
			var got int
			if err := f.Get(ctx, &got); err != nil {
				return 0, err
			}
			sum += got
		}
	}
	workflow.GetSignalChannel(ctx, "end").Receive(ctx, nil)
	return sum, nil
}

func TestLongHistoryGoesToAnotherWorker(t *testing.T) {
	l := begin(t, worker.Options{}, []any{LongHistory}, Echo)
	run := l.run(LongHistory, 20)
	l.eventually("its activities are done", func() bool { return l.count(run.GetID(), "", enums.EVENT_TYPE_ACTIVITY_TASK_COMPLETED) == 20*20 })
	l.restart()
	l.must(server.SignalWorkflow(l.ctx, run.GetID(), "", "end", nil))
	expect(l, "sum", result[int](l, run), 20*190)
}

func TestHistoryAsJSONReplays(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Remembers, Parent, Child})
	for _, run := range []client.WorkflowRun{l.run(Remembers), l.run(Parent, "again", workflow.ChildWorkflowOptions{})} {
		result[string](l, run)
		text, err := protojson.Marshal(&history.History{Events: l.events(run.GetID(), "")})
		l.must(err)
		read, err := client.HistoryFromJSON(bytes.NewReader(text), client.HistoryJSONOptions{})
		l.must(err)
		l.must(l.replayHistory(l.replayer(), run.GetID(), run.GetRunID(), read))
		l.must(l.replayer().ReplayWorkflowExecution(l.ctx, server.WorkflowService(), quiet(), "default",
			workflow.Execution{ID: run.GetID(), RunID: run.GetRunID()}))
	}
}

func oldCode(ctx workflow.Context) (string, error) {
	return "old", workflow.Sleep(ctx, 20*time.Millisecond)
}

func newCode(ctx workflow.Context) (string, error) {
	return "new", workflow.ExecuteActivity(acting(ctx, workflow.ActivityOptions{}), Echo, 1).Get(ctx, nil)
}

func TestChangedCodeDoesNotReplay(t *testing.T) { // so the replays of all other tests can fail
	l := begin(t, worker.Options{}, nil)
	l.isKept = true
	l.worker.Stop()
	l.worker = worker.New(server, l.queue, l.options)
	l.worker.RegisterWorkflowWithOptions(oldCode, workflow.RegisterOptions{Name: "Code"})
	l.must(l.worker.Start())
	run, err := server.ExecuteWorkflow(l.ctx, client.StartWorkflowOptions{ID: l.id(), TaskQueue: l.queue}, "Code")
	l.must(err)
	result[string](l, run)
	for name, code := range map[string]any{"same": oldCode, "other": newCode} {
		r := worker.NewWorkflowReplayer()
		r.RegisterWorkflowWithOptions(code, workflow.RegisterOptions{Name: "Code"})
		err := l.replayHistory(r, run.GetID(), run.GetRunID(), &history.History{Events: l.events(run.GetID(), "")})
		expect(l, name+" code does not replay", err != nil, name == "other")
	}
}

// The code of a workflow changes under a version while it runs: the run that began before keeps its way, a new one takes the new way.
func TestVersionChangesWhileItRuns(t *testing.T) {
	l := begin(t, worker.Options{}, nil, Echo)
	l.isKept = true
	before := func(ctx workflow.Context) (string, error) {
		workflow.GetSignalChannel(ctx, "go").Receive(ctx, nil)
		return "before", nil
	}
	after := func(ctx workflow.Context) (string, error) {
		if workflow.GetVersion(ctx, "step", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
			workflow.GetSignalChannel(ctx, "go").Receive(ctx, nil)
			return "old way", nil
		}
		err := workflow.ExecuteActivity(acting(ctx, workflow.ActivityOptions{}), Echo, 1).Get(ctx, nil)
		return "new way", err
	}
	turn := func(code any) {
		l.worker.Stop()
		l.worker = worker.New(server, l.queue, l.options)
		l.worker.RegisterWorkflowWithOptions(code, workflow.RegisterOptions{Name: "Turns"})
		l.worker.RegisterActivity(Echo)
		l.must(l.worker.Start())
	}
	start := func() client.WorkflowRun {
		run, err := server.ExecuteWorkflow(l.ctx, client.StartWorkflowOptions{ID: l.id(), TaskQueue: l.queue}, "Turns")
		l.must(err)
		return run
	}
	turn(before)
	old := start()
	l.eventually("it waits", func() bool { return len(l.events(old.GetID(), "")) == 4 })
	turn(after)
	l.must(server.SignalWorkflow(l.ctx, old.GetID(), "", "go", nil))
	expect(l, "run from before", result[string](l, old), "old way")
	young := start()
	expect(l, "run from after", result[string](l, young), "new way")
	for _, run := range []client.WorkflowRun{old, young} {
		r := worker.NewWorkflowReplayer()
		r.RegisterWorkflowWithOptions(after, workflow.RegisterOptions{Name: "Turns"})
		l.must(l.replayHistory(r, run.GetID(), run.GetRunID(), &history.History{Events: l.events(run.GetID(), "")}))
	}
}

// RetriesItsChild has a child that fails twice; its retries are runs of their own.
func RetriesItsChild(ctx workflow.Context) (int32, error) {
	var attempt int32
	err := workflow.ExecuteChildWorkflow(parenting(ctx, workflow.ChildWorkflowOptions{RetryPolicy: &temporal.RetryPolicy{InitialInterval: 10 * time.Millisecond,
		BackoffCoefficient: 1}}), FailsTwice).Get(ctx, &attempt)
	return attempt, err
}

func TestChildIsRetried(t *testing.T) {
	l := begin(t, worker.Options{}, []any{RetriesItsChild, FailsTwice})
	expect(l, "attempt", result[int32](l, l.run(RetriesItsChild)), 3)
}
