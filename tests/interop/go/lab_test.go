// Workers and clients of the official Go SDK against the server at PERDURE_ADDRESS; run.sh starts one. Each test has a task queue
// and a worker of its own. When it ends, every history that its queue has seen is replayed by the SDK's own replayer.
package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Generous: the machine may be busy, and nothing here is a claim about time.
const patience = 3 * time.Minute

var (
	server client.Client
	colour = temporal.NewSearchAttributeKeyKeyword("InteropColour")
	weight = temporal.NewSearchAttributeKeyInt64("InteropWeight")
	tags   = temporal.NewSearchAttributeKeyKeywordList("InteropTags")
)

func TestMain(m *testing.M) {
	if size, err := strconv.Atoi(os.Getenv("PERDURE_CACHE")); err == nil {
		worker.SetStickyWorkflowCacheSize(size)
	}
	var err error
	if server, err = client.Dial(client.Options{HostPort: os.Getenv("PERDURE_ADDRESS"), Logger: quiet()}); err == nil {
		_, err = server.OperatorService().AddSearchAttributes(context.Background(), &operatorservice.AddSearchAttributesRequest{Namespace: "default",
			SearchAttributes: map[string]enums.IndexedValueType{colour.GetName(): enums.INDEXED_VALUE_TYPE_KEYWORD,
				weight.GetName(): enums.INDEXED_VALUE_TYPE_INT, tags.GetName(): enums.INDEXED_VALUE_TYPE_KEYWORD_LIST}})
	}
	var there *serviceerror.AlreadyExists
	if err != nil && !errors.As(err, &there) {
		fmt.Println("no server at PERDURE_ADDRESS:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func quiet() log.Logger {
	return log.NewStructuredLogger(slog.New(slog.NewTextHandler(io.Discard, nil)))
}

type lab struct {
	*testing.T
	ctx        context.Context
	queue      string
	worker     worker.Worker
	options    worker.Options
	workflows  []any
	activities []any
	mutex      sync.Mutex
	isKept     bool // the test replays by itself
}

// begin starts a worker for what is given: activities are recognised by their first parameter.
func begin(t *testing.T, options worker.Options, workflows []any, activities ...any) *lab {
	t.Parallel()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	l := &lab{T: t, ctx: ctx, queue: "go-" + uuid.NewString(), options: options, workflows: workflows, activities: activities}
	l.start()
	t.Cleanup(func() {
		if !t.Failed() && !l.isKept {
			l.replayAll()
		}
		l.worker.Stop()
		cancel()
	})
	return l
}

func (l *lab) start() {
	l.Helper()
	l.worker = worker.New(server, l.queue, l.options)
	for _, w := range l.workflows {
		l.worker.RegisterWorkflow(w)
	}
	for _, a := range l.activities {
		l.worker.RegisterActivity(a)
	}
	l.must(l.worker.Start())
}

func (l *lab) restart() {
	l.Helper()
	l.worker.Stop()
	l.start()
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatalf("%v (%T)", err, err)
	}
}

func (l *lab) id() string { return l.queue + "-" + uuid.NewString()[:8] }

func (l *lab) run(w any, args ...any) client.WorkflowRun {
	l.Helper()
	return l.runWith(client.StartWorkflowOptions{}, w, args...)
}

func (l *lab) runWith(o client.StartWorkflowOptions, w any, args ...any) client.WorkflowRun {
	l.Helper()
	o.TaskQueue = l.queue
	if o.ID == "" {
		o.ID = l.id()
	}
	run, err := server.ExecuteWorkflow(l.ctx, o, w, args...)
	l.must(err)
	return run
}

// result waits for a run and decodes what it returned.
func result[T any](l *lab, run client.WorkflowRun) T {
	l.Helper()
	var value T
	l.must(run.Get(l.ctx, &value))
	return value
}

func expect[T comparable](l *lab, what string, got, wanted T) {
	l.Helper()
	if got != wanted {
		l.Fatalf("%s: got %v, wanted %v", what, got, wanted)
	}
}

func expectAs[T error](l *lab, err error) T {
	l.Helper()
	var target T
	if !errors.As(err, &target) {
		l.Fatalf("got %v (%T), wanted a %T", err, err, target)
	}
	return target
}

func (l *lab) events(id, run string) []*history.HistoryEvent {
	l.Helper()
	var all []*history.HistoryEvent
	iterator := server.GetWorkflowHistory(l.ctx, id, run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for iterator.HasNext() {
		event, err := iterator.Next()
		l.must(err)
		all = append(all, event)
	}
	return all
}

func (l *lab) count(id, run string, kind enums.EventType) int {
	l.Helper()
	n := 0
	for _, e := range l.events(id, run) {
		if e.EventType == kind {
			n++
		}
	}
	return n
}

func (l *lab) eventually(what string, check func() bool) {
	l.Helper()
	for !check() {
		select {
		case <-l.ctx.Done():
			l.Fatalf("did not come true: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (l *lab) status(id, run string) enums.WorkflowExecutionStatus {
	l.Helper()
	d, err := server.DescribeWorkflowExecution(l.ctx, id, run)
	l.must(err)
	return d.WorkflowExecutionInfo.Status
}

func (l *lab) replayer() worker.WorkflowReplayer {
	r := worker.NewWorkflowReplayer()
	for _, w := range l.workflows {
		r.RegisterWorkflow(w)
	}
	return r
}

func (l *lab) replay(id, run string) error {
	l.Helper()
	return l.replayHistory(l.replayer(), id, run, &history.History{Events: l.events(id, run)})
}

// replayHistory tells the replayer whose history it is: some workflows here name their children after themselves.
func (l *lab) replayHistory(r worker.WorkflowReplayer, id, run string, h *history.History) error {
	return r.ReplayWorkflowHistoryWithOptions(quiet(), h, worker.ReplayWorkflowHistoryOptions{OriginalExecution: workflow.Execution{ID: id, RunID: run}})
}

// replayAll replays what visibility knows of this test's queue: children and continued runs, too.
func (l *lab) replayAll() {
	l.Helper()
	request := &workflowservice.ListWorkflowExecutionsRequest{Query: fmt.Sprintf("TaskQueue = '%s'", l.queue), PageSize: 50}
	seen := 0
	for {
		page, err := server.ListWorkflow(l.ctx, request)
		l.must(err)
		for _, e := range page.Executions {
			if l.count(e.Execution.WorkflowId, e.Execution.RunId, enums.EVENT_TYPE_WORKFLOW_TASK_COMPLETED) == 0 {
				continue // ended before a worker saw it
			}
			seen++
			if err := l.replay(e.Execution.WorkflowId, e.Execution.RunId); err != nil {
				l.Errorf("replay of %s %s: %v", e.Type.Name, e.Execution, err)
			}
		}
		if request.NextPageToken = page.NextPageToken; len(request.NextPageToken) == 0 {
			break
		}
	}
	if seen == 0 {
		l.Error("no history of this test was replayed")
	}
}

// Options that most workflows here give their activities.
func acting(ctx workflow.Context, o workflow.ActivityOptions) workflow.Context {
	if o.StartToCloseTimeout == 0 && o.ScheduleToCloseTimeout == 0 {
		o.StartToCloseTimeout = patience
	}
	return workflow.WithActivityOptions(ctx, o)
}

func words(text string) []string { return strings.Fields(text) }
