package interop

import (
	"errors"
	"fmt"
	"testing"
	"time"

	enums "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// Child does what it is told: "ok", "fail", "wait" (for cancellation) or "again" (continues as new, then ok); or waits for a signal.
func Child(ctx workflow.Context, what string) (string, error) {
	switch what {
	case "ok":
		return "well", nil
	case "fail":
		return "", temporal.NewNonRetryableApplicationError("as told", "Told", nil, 42)
	case "again":
		return "", workflow.NewContinueAsNewError(ctx, Child, "ok")
	case "wait":
		return "", workflow.Await(ctx, func() bool { return false })
	}
	var text string
	workflow.GetSignalChannel(ctx, "say").Receive(ctx, &text)
	return what + " " + text, nil
}

func childID(ctx workflow.Context) string {
	return workflow.GetInfo(ctx).WorkflowExecution.ID + "-child"
}

func parenting(ctx workflow.Context, o workflow.ChildWorkflowOptions) workflow.Context {
	if o.WorkflowID == "" {
		o.WorkflowID = childID(ctx)
	}
	return workflow.WithChildOptions(ctx, o)
}

// Parent runs one child and says how it ended.
func Parent(ctx workflow.Context, what string, options workflow.ChildWorkflowOptions) (string, error) {
	var said string
	err := workflow.ExecuteChildWorkflow(parenting(ctx, options), Child, what).Get(ctx, &said)
	return said, err
}

func TestChildResultAndFailure(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Parent, Child})
	expect(l, "result", result[string](l, l.run(Parent, "ok", workflow.ChildWorkflowOptions{})), "well")
	expect(l, "result of the continued one", result[string](l, l.run(Parent, "again", workflow.ChildWorkflowOptions{})), "well")
	err := l.run(Parent, "fail", workflow.ChildWorkflowOptions{}).Get(l.ctx, nil)
	expectAs[*temporal.ChildWorkflowExecutionError](l, err)
	cause := expectAs[*temporal.ApplicationError](l, err)
	var detail int
	l.must(cause.Details(&detail))
	expect(l, "cause", fmt.Sprint(cause.Type(), detail), "Told42")
	err = l.run(Parent, "wait", workflow.ChildWorkflowOptions{WorkflowRunTimeout: 300 * time.Millisecond}).Get(l.ctx, nil)
	expectAs[*temporal.TimeoutError](l, err)
	run := l.run(Parent, "wait", workflow.ChildWorkflowOptions{})
	l.eventually("the child runs", func() bool { return l.count(run.GetID(), "", enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED) == 1 })
	l.must(server.TerminateWorkflow(l.ctx, run.GetID()+"-child", "", "from outside"))
	expectAs[*temporal.TerminatedError](l, run.Get(l.ctx, nil))
}

func TestChildIDIsTaken(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Parent, Child})
	taken := l.run(Child, "wait")
	err := l.run(Parent, "ok", workflow.ChildWorkflowOptions{WorkflowID: taken.GetID()}).Get(l.ctx, nil)
	expectAs[*temporal.ChildWorkflowExecutionError](l, err)
	var already *temporal.ChildWorkflowExecutionAlreadyStartedError
	if !errors.As(err, &already) { // as a workflow's failure it is an application error of this type
		expect(l, "type", expectAs[*temporal.ApplicationError](l, err).Type(), "ChildWorkflowExecutionAlreadyStartedError")
	}
	l.must(server.CancelWorkflow(l.ctx, taken.GetID(), ""))
	expectAs[*temporal.CanceledError](l, taken.Get(l.ctx, nil))
}

// Leaves starts a child and ends while the child runs.
func Leaves(ctx workflow.Context, policy enums.ParentClosePolicy) error {
	child := workflow.ExecuteChildWorkflow(parenting(ctx, workflow.ChildWorkflowOptions{ParentClosePolicy: policy}), Child, "wait")
	return child.GetChildWorkflowExecution().Get(ctx, nil)
}

func TestParentClosePolicies(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Leaves, Child})
	for policy, wanted := range map[enums.ParentClosePolicy]enums.WorkflowExecutionStatus{
		enums.PARENT_CLOSE_POLICY_TERMINATE:      enums.WORKFLOW_EXECUTION_STATUS_TERMINATED,
		enums.PARENT_CLOSE_POLICY_REQUEST_CANCEL: enums.WORKFLOW_EXECUTION_STATUS_CANCELED,
		enums.PARENT_CLOSE_POLICY_ABANDON:        enums.WORKFLOW_EXECUTION_STATUS_RUNNING,
	} {
		run := l.run(Leaves, policy)
		l.must(run.Get(l.ctx, nil))
		child := run.GetID() + "-child"
		l.eventually(policy.String(), func() bool { return l.status(child, "") == wanted })
		d, err := server.DescribeWorkflow(l.ctx, child, "")
		l.must(err)
		expect(l, "parent", d.ParentWorkflowExecution.ID, run.GetID())
		if policy == enums.PARENT_CLOSE_POLICY_ABANDON {
			l.must(server.TerminateWorkflow(l.ctx, child, "", "over"))
		}
	}
}

// SpeaksToChild signals its child, cancels it, or both, and says how it ended.
func SpeaksToChild(ctx workflow.Context, what string) (string, error) {
	scope, cancel := workflow.WithCancel(ctx)
	kind := map[string]string{"signal": "heard", "cancel": "wait", "cancel at once": "wait"}[what]
	child := workflow.ExecuteChildWorkflow(parenting(scope, workflow.ChildWorkflowOptions{WaitForCancellation: true}), Child, kind)
	if what != "cancel at once" {
		if err := child.GetChildWorkflowExecution().Get(ctx, nil); err != nil {
			return "", err
		}
	}
	if what == "signal" {
		if err := child.SignalChildWorkflow(ctx, "say", "hello").Get(ctx, nil); err != nil {
			return "", err
		}
	} else {
		cancel()
	}
	var said string
	err := child.Get(ctx, &said)
	var canceled *temporal.CanceledError
	if errors.As(err, &canceled) {
		return "cancelled", nil
	}
	return said, err
}

func TestParentSignalsAndCancelsItsChild(t *testing.T) {
	l := begin(t, worker.Options{}, []any{SpeaksToChild, Child})
	expect(l, "child", result[string](l, l.run(SpeaksToChild, "signal")), "heard hello")
	run := l.run(SpeaksToChild, "cancel")
	expect(l, "child", result[string](l, run), "cancelled")
	expect(l, "status of the child", l.status(run.GetID()+"-child", ""), enums.WORKFLOW_EXECUTION_STATUS_CANCELED)
	expect(l, "child", result[string](l, l.run(SpeaksToChild, "cancel at once")), "cancelled")
}

func TestCancellationReachesTheChild(t *testing.T) {
	l := begin(t, worker.Options{}, []any{Parent, Child})
	run := l.run(Parent, "wait", workflow.ChildWorkflowOptions{WaitForCancellation: true})
	l.eventually("the child runs", func() bool { return l.count(run.GetID(), "", enums.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED) == 1 })
	l.must(server.CancelWorkflow(l.ctx, run.GetID(), ""))
	expectAs[*temporal.CanceledError](l, run.Get(l.ctx, nil))
	expect(l, "status of the child", l.status(run.GetID()+"-child", ""), enums.WORKFLOW_EXECUTION_STATUS_CANCELED)
}

// SpeaksToOthers signals and cancels a workflow that is not its child and says which of both failed for want of one.
func SpeaksToOthers(ctx workflow.Context, id, run string) (string, error) {
	said := ""
	for name, future := range map[string]workflow.Future{"signal": workflow.SignalExternalWorkflow(ctx, id, run, "say", "hello")} {
		if err := future.Get(ctx, nil); err != nil {
			var unknown *temporal.UnknownExternalWorkflowExecutionError
			if !errors.As(err, &unknown) {
				return "", err
			}
			said += name + " to nobody "
		}
	}
	if err := workflow.RequestCancelExternalWorkflow(ctx, id, run).Get(ctx, nil); err != nil {
		var unknown *temporal.UnknownExternalWorkflowExecutionError
		if !errors.As(err, &unknown) {
			return "", err
		}
		said += "cancel of nobody"
	}
	return said, nil
}

func SpokenTo(ctx workflow.Context) (string, error) {
	var text string
	workflow.GetSignalChannel(ctx, "say").Receive(ctx, &text)
	err := workflow.Sleep(ctx, time.Hour)
	if !temporal.IsCanceledError(err) {
		return "", err
	}
	return text + ", cancelled", nil
}

func TestExternalSignalAndCancel(t *testing.T) {
	l := begin(t, worker.Options{}, []any{SpeaksToOthers, SpokenTo})
	for _, withRun := range []bool{true, false} {
		other, run := l.run(SpokenTo), ""
		if withRun {
			run = other.GetRunID()
		}
		expect(l, "said", result[string](l, l.run(SpeaksToOthers, other.GetID(), run)), "")
		expect(l, "heard", result[string](l, other), "hello, cancelled")
	}
	expect(l, "said", result[string](l, l.run(SpeaksToOthers, l.id(), "")), "signal to nobody cancel of nobody")
}

// ManyChildren runs n children at once.
func ManyChildren(ctx workflow.Context, n int) (int, error) {
	var futures []workflow.Future
	for i := range n {
		options := workflow.ChildWorkflowOptions{WorkflowID: fmt.Sprint(childID(ctx), i)}
		futures = append(futures, workflow.ExecuteChildWorkflow(parenting(ctx, options), Child, "ok"))
	}
	for _, f := range futures {
		if err := f.Get(ctx, nil); err != nil {
			return 0, err
		}
	}
	return len(futures), nil
}

func TestManyChildrenAtOnce(t *testing.T) {
	l := begin(t, worker.Options{}, []any{ManyChildren, Child})
	expect(l, "children", result[int](l, l.run(ManyChildren, 50)), 50)
}

// CountsDown continues as new until nothing is left, and says what it still knows of the first run.
func CountsDown(ctx workflow.Context, left int, heard []string) (string, error) {
	info := workflow.GetInfo(ctx)
	signals := workflow.GetSignalChannel(ctx, "say")
	if left > 0 {
		if err := workflow.Sleep(ctx, 20*time.Millisecond); err != nil {
			return "", err
		}
		for {
			var text string
			if !signals.ReceiveAsync(&text) {
				break
			}
			heard = append(heard, text)
		}
		return "", workflow.NewContinueAsNewError(ctx, CountsDown, left-1, heard)
	}
	if len(heard) == 0 {
		var text string
		signals.Receive(ctx, &text)
		heard = append(heard, text)
	}
	painted, _ := workflow.GetTypedSearchAttributes(ctx).GetKeyword(colour)
	return fmt.Sprint(heard, info.Memo != nil, " ", painted, info.ContinuedExecutionRunID != "", info.FirstRunID != info.WorkflowExecution.RunID), nil
}

func TestContinueAsNew(t *testing.T) {
	l := begin(t, worker.Options{}, []any{CountsDown})
	run := l.runWith(client.StartWorkflowOptions{Memo: map[string]any{"note": "kept"}, TypedSearchAttributes: temporal.NewSearchAttributes(colour.ValueSet("red"))},
		CountsDown, 5, []string{})
	first := run.GetRunID()
	l.must(server.SignalWorkflow(l.ctx, run.GetID(), "", "say", "hello"))
	expect(l, "said by the last run", result[string](l, run), "[hello] true redtrue true")
	expect(l, "status of the first run", l.status(run.GetID(), first), enums.WORKFLOW_EXECUTION_STATUS_CONTINUED_AS_NEW)
	var text string
	err := server.GetWorkflow(l.ctx, run.GetID(), first).GetWithOptions(l.ctx, &text, client.WorkflowRunGetOptions{DisableFollowingRuns: true})
	expectAs[*workflow.ContinueAsNewError](l, err)
}
