package interop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

func Echo(ctx context.Context, n int) (int, error) { return n, nil }

// FailsUntil fails with its type until the attempt is there, then returns the attempt.
func FailsUntil(ctx context.Context, attempt int32, kind string) (int32, error) {
	if now := activity.GetInfo(ctx).Attempt; now >= attempt {
		return now, nil
	}
	return 0, temporal.NewApplicationError("not yet", kind, attempt)
}

// CountsOn heartbeats a count, fails at each multiple of three and goes on from where the last attempt was.
func CountsOn(ctx context.Context, to int) (string, error) {
	from := 0
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &from); err != nil {
			return "", err
		}
	}
	for n := from + 1; n <= to; n++ {
		activity.RecordHeartbeat(ctx, n)
		if n%3 == 0 && n < to {
			return "", errors.New("stumbled")
		}
	}
	return fmt.Sprintf("from %d to %d", from, to), nil
}

// Hangs until it is cancelled, which it learns by heartbeats, then says so; or until its worker stops.
func Hangs(ctx context.Context, beats bool) (string, error) {
	for {
		if beats {
			activity.RecordHeartbeat(ctx, "beating")
		}
		select {
		case <-ctx.Done():
			return "", temporal.NewCanceledError("tidied up")
		case <-activity.GetWorkerStopChannel(ctx):
			return "", errors.New("the worker stops")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

type Given struct {
	Options workflow.ActivityOptions
	Local   workflow.LocalActivityOptions
	Name    string
	Args    []any
}

// Acts calls one activity and says what became of it.
func Acts(ctx workflow.Context, g Given) (string, error) {
	var got any
	err := workflow.ExecuteActivity(acting(ctx, g.Options), g.Name, g.Args...).Get(ctx, &got)
	return fmt.Sprint(got), err
}

var impatient = &temporal.RetryPolicy{InitialInterval: time.Millisecond, MaximumAttempts: 1}

func quick(attempts int32) *temporal.RetryPolicy {
	return &temporal.RetryPolicy{InitialInterval: 10 * time.Millisecond, BackoffCoefficient: 1, MaximumAttempts: attempts, NonRetryableErrorTypes: []string{"Fatal"}}
}

func TestActivityRetries(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Acts}, FailsUntil)
	run := l.run(Acts, Given{Options: workflow.ActivityOptions{RetryPolicy: quick(5)}, Name: "FailsUntil", Args: []any{4, "Passing"}})
	expect(l, "attempt", result[string](l, run), "4")
	for _, e := range l.events(run.GetID(), "") {
		if a := e.GetActivityTaskStartedEventAttributes(); a != nil {
			expect(l, "attempt in the history", a.Attempt, 4)
			expect(l, "failure before", a.LastFailure.GetApplicationFailureInfo().GetType(), "Passing")
		}
	}
}

func TestActivityRunsOutOfAttempts(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Acts}, FailsUntil)
	for _, kind := range []string{"Passing", "Fatal"} {
		err := l.run(Acts, Given{Options: workflow.ActivityOptions{RetryPolicy: quick(2)}, Name: "FailsUntil", Args: []any{9, kind}}).Get(l.ctx, nil)
		failed := expectAs[*temporal.ActivityError](l, err)
		wanted := enums.RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED
		if kind == "Fatal" {
			wanted = enums.RETRY_STATE_NON_RETRYABLE_FAILURE
		}
		expect(l, "retry state", failed.RetryState(), wanted)
		cause := expectAs[*temporal.ApplicationError](l, err)
		var detail int
		l.must(cause.Details(&detail))
		expect(l, "cause", fmt.Sprint(cause.Type(), detail), kind+"9")
	}
}

func FailsWithDelay(ctx context.Context) (int32, error) {
	if now := activity.GetInfo(ctx).Attempt; now > 1 {
		return now, nil
	}
	return 0, temporal.NewApplicationErrorWithOptions("soon", "Soon", temporal.ApplicationErrorOptions{NextRetryDelay: 10 * time.Millisecond})
}

func TestActivityChoosesItsNextDelay(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Acts}, FailsWithDelay)
	policy := &temporal.RetryPolicy{InitialInterval: time.Hour}
	expect(l, "attempt", result[string](l, l.run(Acts, Given{Options: workflow.ActivityOptions{RetryPolicy: policy}, Name: "FailsWithDelay"})), "2")
}

func TestHeartbeatDetailsGoToTheNextAttempt(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Acts}, CountsOn)
	options := workflow.ActivityOptions{RetryPolicy: quick(0), HeartbeatTimeout: time.Minute}
	expect(l, "count", result[string](l, l.run(Acts, Given{Options: options, Name: "CountsOn", Args: []any{8}})), "from 6 to 8")
}

func TestActivityTimeouts(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Acts}, Hangs)
	short := 300 * time.Millisecond
	for kind, options := range map[enums.TimeoutType]workflow.ActivityOptions{
		enums.TIMEOUT_TYPE_START_TO_CLOSE:    {StartToCloseTimeout: short},
		enums.TIMEOUT_TYPE_HEARTBEAT:         {HeartbeatTimeout: short},
		enums.TIMEOUT_TYPE_SCHEDULE_TO_START: {ScheduleToStartTimeout: short, TaskQueue: "nobody-" + uuid.NewString()},
		enums.TIMEOUT_TYPE_SCHEDULE_TO_CLOSE: {ScheduleToCloseTimeout: 2 * time.Second, StartToCloseTimeout: time.Minute},
	} {
		options.RetryPolicy = impatient
		err := l.run(Acts, Given{Options: options, Name: "Hangs", Args: []any{false}}).Get(l.ctx, nil)
		expect(l, "kind of timeout", expectAs[*temporal.TimeoutError](l, err).TimeoutType(), kind)
	}
}

func BeatsOnceThenHangs(ctx context.Context) error {
	activity.RecordHeartbeat(ctx, "last words")
	<-activity.GetWorkerStopChannel(ctx)
	return nil
}

func TestHeartbeatTimeoutHasTheLastDetails(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Acts}, BeatsOnceThenHangs)
	options := workflow.ActivityOptions{HeartbeatTimeout: time.Second, RetryPolicy: impatient}
	err := l.run(Acts, Given{Options: options, Name: "BeatsOnceThenHangs"}).Get(l.ctx, nil)
	var words string
	l.must(expectAs[*temporal.TimeoutError](l, err).LastHeartbeatDetails(&words))
	expect(l, "details", words, "last words")
}

func TestPendingActivityIsDescribed(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Acts}, Hangs)
	run := l.run(Acts, Given{Options: workflow.ActivityOptions{HeartbeatTimeout: time.Minute, ActivityID: "the one"}, Name: "Hangs", Args: []any{true}})
	l.eventually("a heartbeat is seen", func() bool {
		d, err := server.DescribeWorkflowExecution(l.ctx, run.GetID(), "")
		l.must(err)
		return len(d.PendingActivities) == 1 && d.PendingActivities[0].HeartbeatDetails != nil && d.PendingActivities[0].ActivityId == "the one" &&
			d.PendingActivities[0].State == enums.PENDING_ACTIVITY_STATE_STARTED
	})
	l.must(server.TerminateWorkflow(l.ctx, run.GetID(), "", "seen enough"))
	expectAs[*temporal.TerminatedError](l, run.Get(l.ctx, nil))
}

// CancelsActivity starts one, cancels it when it is told and says how it ended.
func CancelsActivity(ctx workflow.Context, wait bool) (string, error) {
	scope, cancel := workflow.WithCancel(ctx)
	future := workflow.ExecuteActivity(acting(scope, workflow.ActivityOptions{HeartbeatTimeout: time.Minute, WaitForCancellation: wait}), Hangs, true)
	workflow.GetSignalChannel(ctx, "cancel").Receive(ctx, nil)
	cancel()
	var canceled *temporal.CanceledError
	err := future.Get(ctx, nil)
	if !errors.As(err, &canceled) {
		return "", err
	}
	var details string
	if canceled.HasDetails() {
		if err := canceled.Details(&details); err != nil {
			return "", err
		}
	}
	return "cancelled: " + details, nil
}

func TestActivityIsCancelled(t *testing.T) {
	l := begin(t, worker.Options{MaxHeartbeatThrottleInterval: 50 * time.Millisecond}, []any{CancelsActivity}, Hangs)
	for wait, wanted := range map[bool]string{true: "cancelled: tidied up", false: "cancelled: "} {
		run := l.run(CancelsActivity, wait)
		l.eventually("the activity runs", func() bool {
			d, err := server.DescribeWorkflowExecution(l.ctx, run.GetID(), "")
			l.must(err)
			return len(d.PendingActivities) == 1 && d.PendingActivities[0].State == enums.PENDING_ACTIVITY_STATE_STARTED
		})
		l.must(server.SignalWorkflow(l.ctx, run.GetID(), "", "cancel", nil))
		expect(l, "outcome", result[string](l, run), wanted)
		expect(l, "requests to cancel", l.count(run.GetID(), "", enums.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED), 1)
	}
}

// Async hands its token to the test.
type Async struct{ tokens chan []byte }

func (a *Async) Later(ctx context.Context) (string, error) {
	a.tokens <- activity.GetInfo(ctx).TaskToken
	return "", activity.ErrResultPending
}

func TestActivityCompletedFromOutside(t *testing.T) {
	async := &Async{make(chan []byte, 10)}
	l := begin(t, worker.Options{}, []any{Acts}, async)
	start := func(id string) client.WorkflowRun {
		return l.run(Acts, Given{Options: workflow.ActivityOptions{ActivityID: id, RetryPolicy: impatient, HeartbeatTimeout: time.Minute}, Name: "Later"})
	}
	run := start("by-token")
	token := <-async.tokens
	l.must(server.RecordActivityHeartbeat(l.ctx, token, "from outside"))
	l.must(server.CompleteActivity(l.ctx, token, "done by token", nil))
	expect(l, "result", result[string](l, run), "done by token")
	expectAs[*serviceerror.NotFound](l, server.CompleteActivity(l.ctx, token, "again", nil))
	run = start("by-id")
	<-async.tokens
	l.must(server.RecordActivityHeartbeatByID(l.ctx, "default", run.GetID(), "", "by-id", 1))
	l.must(server.CompleteActivityByID(l.ctx, "default", run.GetID(), "", "by-id", "done by id", nil))
	expect(l, "result", result[string](l, run), "done by id")
	run = start("fails")
	l.must(server.CompleteActivity(l.ctx, <-async.tokens, nil, temporal.NewApplicationError("as told", "Told")))
	expect(l, "type of the failure", expectAs[*temporal.ApplicationError](l, run.Get(l.ctx, nil)).Type(), "Told")
	expectAs[*serviceerror.NotFound](l, server.CompleteActivityByID(l.ctx, "default", l.id(), "", "none", nil, nil))
}

// Fans calls the activity n times at once and adds up what comes back.
func Fans(ctx workflow.Context, n int) (int, error) {
	var futures []workflow.Future
	for i := range n {
		futures = append(futures, workflow.ExecuteActivity(acting(ctx, workflow.ActivityOptions{}), Echo, i))
	}
	sum := 0
	for _, f := range futures {
		var got int
		if err := f.Get(ctx, &got); err != nil {
			return 0, err
		}
		sum += got
	}
	return sum, nil
}

func TestManyActivitiesAtOnce(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Fans}, Echo)
	expect(l, "sum", result[int](l, l.run(Fans, 300)), 300*299/2)
}

var localTries atomic.Int32

func LocalFailsTwice(ctx context.Context, key string) (int32, error) {
	if now := activity.GetInfo(ctx).Attempt; now > 2 {
		return now, nil
	}
	localTries.Add(1)
	return 0, errors.New("not yet")
}

func SleepsLocally(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// ActsLocally: retries inside the task, by a timer of the server, longer than a workflow task lasts, and a failure.
func ActsLocally(ctx workflow.Context) (string, error) {
	local := func(o workflow.LocalActivityOptions) workflow.Context {
		o.StartToCloseTimeout = patience
		return workflow.WithLocalActivityOptions(ctx, o)
	}
	var a, b int32
	if err := workflow.ExecuteLocalActivity(local(workflow.LocalActivityOptions{RetryPolicy: quick(0)}), LocalFailsTwice, "quick").Get(ctx, &a); err != nil {
		return "", err
	}
	slow := &temporal.RetryPolicy{InitialInterval: 2500 * time.Millisecond, BackoffCoefficient: 1}
	if err := workflow.ExecuteLocalActivity(local(workflow.LocalActivityOptions{RetryPolicy: slow}), LocalFailsTwice, "slow").Get(ctx, &b); err != nil {
		return "", err
	}
	if err := workflow.ExecuteLocalActivity(local(workflow.LocalActivityOptions{}), SleepsLocally, 3*time.Second).Get(ctx, nil); err != nil {
		return "", err
	}
	err := workflow.ExecuteLocalActivity(local(workflow.LocalActivityOptions{RetryPolicy: impatient}), FailsUntil, int32(9), "Local").Get(ctx, nil)
	var failed *temporal.ApplicationError
	if !errors.As(err, &failed) {
		return "", fmt.Errorf("wanted a failure: %w", err)
	}
	return fmt.Sprint(a, b, failed.Type()), nil
}

func TestLocalActivities(t *testing.T) {
	l := begin(t, worker.Options{}, []any{ActsLocally}, LocalFailsTwice, SleepsLocally, FailsUntil)
	run := l.runWith(client.StartWorkflowOptions{WorkflowTaskTimeout: 2 * time.Second}, ActsLocally)
	expect(l, "said", result[string](l, run), "3 3Local")
	expect(l, "activities of the server", l.count(run.GetID(), "", enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED), 0)
	expect(l, "markers", l.count(run.GetID(), "", enums.EVENT_TYPE_MARKER_RECORDED) >= 4, true)
}

// InSession runs activities on one worker's own queue.
func InSession(ctx workflow.Context) (bool, error) {
	ctx = acting(ctx, workflow.ActivityOptions{HeartbeatTimeout: time.Minute})
	session, err := workflow.CreateSession(ctx, &workflow.SessionOptions{CreationTimeout: patience, ExecutionTimeout: patience})
	if err != nil {
		return false, err
	}
	defer workflow.CompleteSession(session)
	first, second := "", ""
	if err := workflow.ExecuteActivity(session, WhichQueue).Get(session, &first); err != nil {
		return false, err
	}
	err = workflow.ExecuteActivity(session, WhichQueue).Get(session, &second)
	return first == second && first != workflow.GetInfo(ctx).TaskQueueName, err
}

func WhichQueue(ctx context.Context) (string, error) { return activity.GetInfo(ctx).TaskQueue, nil }

func TestSession(t *testing.T) {
	l := begin(t, worker.Options{EnableSessionWorker: true}, []any{InSession}, WhichQueue)
	expect(l, "same worker", result[bool](l, l.run(InSession)), true)
}

func TestActivityOutlivesItsWorker(t *testing.T) {
	l := begin(t, worker.Options{WorkerStopTimeout: time.Second}, []any{Acts}, Hangs)
	run := l.run(Acts, Given{Options: workflow.ActivityOptions{HeartbeatTimeout: time.Minute, RetryPolicy: quick(2)}, Name: "Hangs", Args: []any{true}})
	attempt := func() int32 {
		d, err := server.DescribeWorkflowExecution(l.ctx, run.GetID(), "")
		l.must(err)
		if len(d.PendingActivities) == 0 || d.PendingActivities[0].State != enums.PENDING_ACTIVITY_STATE_STARTED {
			return 0
		}
		return d.PendingActivities[0].Attempt
	}
	l.eventually("it runs", func() bool { return attempt() == 1 })
	l.restart() // its failure "the worker stops" makes the next attempt
	l.eventually("it runs again", func() bool { return attempt() == 2 })
	l.must(server.CancelWorkflow(l.ctx, run.GetID(), ""))
	expectAs[*temporal.CanceledError](l, run.Get(l.ctx, nil))
}

func TestWorkersShareAQueue(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Fans}, Echo)
	for range 3 {
		w := worker.New(server, l.queue, l.options)
		w.RegisterWorkflow(Fans)
		w.RegisterActivity(Echo)
		l.must(w.Start())
		defer w.Stop()
	}
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			var sum int
			if err := l.run(Fans, 10).Get(l.ctx, &sum); err != nil || sum != 45 {
				l.Error(sum, err)
			}
		})
	}
	group.Wait()
}
