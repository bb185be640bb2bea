// Workers and clients of the official TypeScript SDK against the server at PERDURE_ADDRESS; run.sh starts one. Most tests share a
// worker; when they are over, every history that its queue has seen is replayed by the SDK's own replayer.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  ActivityNotFoundError, QueryNotRegisteredError, QueryRejectedError, ScheduleAlreadyRunning, ScheduleNotFoundError, ScheduleOverlapPolicy, ServiceError,
  WithStartWorkflowOperation, WorkflowContinuedAsNewError, WorkflowUpdateFailedError,
} from '@temporalio/client';
import {
  ActivityFailure, ApplicationFailure, ChildWorkflowFailure, CancelledFailure, TerminatedFailure, TimeoutFailure, TypedSearchAttributes,
  WorkflowExecutionAlreadyStartedError, WorkflowNotFoundError,
} from '@temporalio/common';
import { DeterminismViolationError } from '@temporalio/workflow';
import { Worker } from '@temporalio/worker';
import { Lab, PATIENCE, client, connect, count, disconnect, eventually, events, reason, replayOptions, shown } from './lab';
import { waiting } from './activities';
import * as flows from './workflows';

const QUICK = { initialInterval: 10, backoffCoefficient: 1 } as const;
const ONCE = { maximumAttempts: 1 } as const;

let lab: Lab;

const status = async (id: string, run?: string) => (await client.workflow.getHandle(id, run).describe()).status.name;
const isWaiting = (id: string) => eventually(`${id} waits`, async () => (await count(id, 'workflowTaskCompletedEventAttributes')) > 0);

/** Runs a test on a worker of its own, whose histories are replayed when it passed. */
async function withLab(own: Lab, test: (own: Lab) => Promise<void>, replays = true): Promise<void> {
  await own.start();
  try {
    await test(own);
    if (replays) assert.ok((await own.replayAll()) > 0, 'no history was replayed');
  } finally {
    await own.stop();
  }
}

const signalsAndQueries = () => {
  it('a workflow says hello', async () => {
    const handle = await lab.run(flows.hello, ['Temporal']);
    assert.equal(await handle.result(), 'Hello, Temporal!');
    assert.equal(await status(handle.workflowId), 'COMPLETED');
  });

  it('signals arrive in order', async () => {
    const handle = await lab.run(flows.collects, []);
    const wanted = Array.from({ length: 30 }, (_, i) => String(i));
    for (const text of wanted) await handle.signal(flows.say, text);
    await handle.signal(flows.say, 'end');
    assert.deepEqual(await handle.result(), [...wanted, 'end']);
    await assert.rejects(handle.signal(flows.say, 'late'), WorkflowNotFoundError);
    await assert.rejects(client.workflow.getHandle(lab.id()).signal(flows.say, 'to nobody'), WorkflowNotFoundError);
  });

  it('signal with start starts, then signals', async () => {
    const options = (text: string) => ({ workflowId, taskQueue: lab.queue, signal: flows.say, signalArgs: [text] as [string] });
    const workflowId = lab.id();
    const first = await client.workflow.signalWithStart(flows.collects, options('one'));
    const second = await client.workflow.signalWithStart(flows.collects, options('two'));
    assert.equal(second.signaledRunId, first.signaledRunId);
    await client.workflow.signalWithStart(flows.collects, options('end'));
    assert.deepEqual(await first.result(), ['one', 'two', 'end']);
    const third = await client.workflow.signalWithStart(flows.collects, options('end'));
    assert.notEqual(third.signaledRunId, first.signaledRunId);
    assert.deepEqual(await third.result(), ['end']);
  });

  it('queries see what was acknowledged, write nothing and fail by name', async () => {
    const handle = await lab.run(flows.collects, []);
    assert.deepEqual(await handle.query(flows.said, '-'), []);
    for (let i = 1; i <= 10; i++) {
      await handle.signal(flows.say, String(i));
      assert.equal((await handle.query(flows.said, '-')).length, i);
    }
    const written = (await events(handle.workflowId)).length;
    await assert.rejects(handle.query(flows.said, 'bad'), /no such prefix/);
    await assert.rejects(handle.query('nothing'), QueryNotRegisteredError);
    await assert.rejects(client.workflow.getHandle(lab.id()).query(flows.said, ''), WorkflowNotFoundError);
    assert.match(await handle.query<string>('__stack_trace'), /collects/);
    const metadata = await handle.query<any>('__temporal_workflow_metadata');
    assert.ok(metadata.definition.queryDefinitions.some((q: any) => q.name === 'said'));
    assert.equal((await events(handle.workflowId)).length, written);
    await handle.signal(flows.say, 'end');
    await handle.result();
    assert.equal((await handle.query(flows.said, '')).length, 11);
    const careful = new (Object.getPrototypeOf(client.workflow).constructor)({ connection: client.connection, queryRejectCondition: 'NOT_OPEN' });
    await assert.rejects(careful.getHandle(handle.workflowId).query('said', ''), QueryRejectedError);
  });

  it('many signals and queries at once', async () => {
    const handle = await lab.run(flows.collects, []);
    await Promise.all(Array.from({ length: 20 }, async (_, i) => {
      await handle.signal(flows.say, String(i));
      assert.ok((await handle.query(flows.said, '')).includes(String(i)));
    }));
    await handle.signal(flows.say, 'end');
    assert.equal((await handle.result()).length, 21);
  });
};

const updates = () => {
  const closeAccount = async (id: string) => {
    await client.workflow.getHandle(id).executeUpdate(flows.close);
    return await client.workflow.getHandle<typeof flows.account>(id).result();
  };

  it('updates are accepted, rejected without a trace, or fail', async () => {
    const handle = await lab.run(flows.account, [100]);
    assert.equal(await handle.executeUpdate(flows.deposit, { args: [1] }), 101);
    await eventually('the update is over', async () => (await events(handle.workflowId)).at(-1)!.workflowExecutionUpdateCompletedEventAttributes != null);
    const written = (await events(handle.workflowId)).length;
    await assert.rejects(handle.executeUpdate(flows.deposit, { args: [-1] }), (e: any) => e instanceof WorkflowUpdateFailedError && /only upwards/.test(e.cause!.message));
    await assert.rejects(handle.executeUpdate('unheard of'), WorkflowUpdateFailedError);
    assert.equal((await events(handle.workflowId)).length, written);
    await assert.rejects(handle.executeUpdate(flows.deposit, { args: [13] }), (e: any) => {
      assert.ok(e.cause instanceof ApplicationFailure);
      assert.deepEqual([e.cause.type, e.cause.details], ['Unlucky', [13]]);
      return true;
    });
    assert.equal(await closeAccount(handle.workflowId), 101);
    await assert.rejects(handle.executeUpdate(flows.deposit, { args: [1] }), WorkflowNotFoundError);
    await assert.rejects(client.workflow.getHandle(lab.id()).executeUpdate(flows.close), WorkflowNotFoundError);
  });

  it('an update rejected in the first workflow task leaves no trace', async () => {
    const handle = await lab.run(flows.account, [0]);
    for (let i = 0; i < 3; i++) await assert.rejects(handle.executeUpdate(flows.deposit, { args: [-1] }), WorkflowUpdateFailedError);
    assert.equal(await count(handle.workflowId, 'workflowExecutionUpdateAcceptedEventAttributes'), 0);
    assert.equal(await closeAccount(handle.workflowId), 0);
  });

  it('several updates at once', async () => {
    const handle = await lab.run(flows.account, [0]);
    const blocked = await handle.startUpdate(flows.reaches, { args: [150], waitForStage: 'ACCEPTED' });
    await Promise.all([1, 2, 3, 4].flatMap((by) => [
      handle.executeUpdate(flows.deposit, { args: [by] }),
      assert.rejects(handle.executeUpdate(flows.deposit, { args: [-by] }), WorkflowUpdateFailedError),
    ]));
    assert.equal(await handle.executeUpdate(flows.deposit, { args: [140] }), 150);
    assert.equal(await blocked.result(), blocked.updateId);
    assert.equal(await closeAccount(handle.workflowId), 150);
  });

  it('an update sent again with its id runs once, and can be asked for', async () => {
    const handle = await lab.run(flows.account, [0]);
    for (let i = 0; i < 3; i++) {
      const update = await handle.startUpdate(flows.deposit, { args: [5], updateId: 'the one', waitForStage: 'ACCEPTED' });
      assert.equal(await update.result(), 5);
    }
    assert.equal(await handle.getUpdateHandle('the one').result(), 5);
    assert.equal(await closeAccount(handle.workflowId), 5);
    assert.equal(await count(handle.workflowId, 'workflowExecutionUpdateAcceptedEventAttributes'), 2);
  });

  it('update with start', async () => {
    const workflowId = lab.id();
    const both = (workflowIdConflictPolicy: 'FAIL' | 'USE_EXISTING', by: number) => {
      const startWorkflowOperation = new WithStartWorkflowOperation(flows.account, { workflowId, args: [1000], taskQueue: lab.queue, workflowIdConflictPolicy });
      return client.workflow.executeUpdateWithStart(flows.deposit, { args: [by], startWorkflowOperation });
    };
    assert.equal(await both('FAIL', 1), 1001);
    assert.equal(await both('USE_EXISTING', 2), 1003);
    await assert.rejects(both('USE_EXISTING', -1), WorkflowUpdateFailedError);
    await assert.rejects(both('FAIL', 1), WorkflowExecutionAlreadyStartedError);
    assert.equal(await closeAccount(workflowId), 1003);
  });
};

const activityTests = () => {
  const call = (name: Parameters<typeof flows.callsActivity>[0], args: unknown[], options: Parameters<typeof flows.callsActivity>[2]) =>
    lab.run(flows.callsActivity, [name, args, options]);

  it('an activity is retried until it works', async () => {
    const handle = await call('failsUntil', [4, 'Passing'], { retry: QUICK });
    assert.equal(await handle.result(), 4);
    const started = (await events(handle.workflowId)).find((e) => e.activityTaskStartedEventAttributes)!.activityTaskStartedEventAttributes!;
    assert.equal(started.attempt, 4);
    assert.equal(started.lastFailure!.applicationFailureInfo!.type, 'Passing');
    assert.equal(await (await call('failsWithDelay', [], { retry: { initialInterval: '1h' } })).result(), 2);
  });

  it('an activity runs out of attempts, or fails for good', async () => {
    for (const [kind, state] of [['Passing', 'MAXIMUM_ATTEMPTS_REACHED'], ['Fatal', 'NON_RETRYABLE_FAILURE']] as const) {
      const handle = await call('failsUntil', [9, kind], { retry: { ...QUICK, maximumAttempts: 2, nonRetryableErrorTypes: ['Fatal'] } });
      await assert.rejects(handle.result(), (e: any) => {
        assert.ok(e.cause instanceof ActivityFailure && e.cause.cause instanceof ApplicationFailure);
        assert.deepEqual([e.cause.retryState, e.cause.cause.type, e.cause.cause.details], [state, kind, [9]]);
        return true;
      });
    }
  });

  it('heartbeat details go to the next attempt', async () => {
    assert.equal(await (await call('countsOn', [8], { retry: QUICK, heartbeatTimeout: '1m' })).result(), 'from 6 to 8');
  });

  it('each of the timeouts of an activity', async () => {
    const nobody = `nobody-${randomUUID()}`;
    for (const [kind, options] of [
      ['START_TO_CLOSE', { startToCloseTimeout: 300 }], ['HEARTBEAT', { heartbeatTimeout: 300 }],
      ['SCHEDULE_TO_START', { scheduleToStartTimeout: 300, taskQueue: nobody }], ['SCHEDULE_TO_CLOSE', { scheduleToCloseTimeout: 2000 }],
    ] as const) {
      const failure = await reason((await call('hangs', [false], { ...options, retry: ONCE })).result());
      assert.ok(failure instanceof TimeoutFailure);
      assert.equal(failure.timeoutType, kind);
    }
    const failure = await reason((await call('beatsOnceThenHangs', [], { heartbeatTimeout: 1000, retry: ONCE })).result());
    assert.equal(failure.lastHeartbeatDetails, 'last words');
  });

  it('an activity is cancelled, with each type of cancellation', async () => {
    for (const [type, wanted] of [['WAIT_CANCELLATION_COMPLETED', 'tidied up'], ['TRY_CANCEL', 'cancelled'], ['ABANDON', 'cancelled']] as const) {
      const handle = await lab.run(flows.cancelsActivity, [type]);
      await eventually('the activity runs', async () => (await handle.describe()).raw.pendingActivities?.[0]?.state === 2);
      await handle.signal(flows.cancelIt);
      assert.equal(await handle.result(), wanted);
      assert.equal(await count(handle.workflowId, 'activityTaskCancelRequestedEventAttributes'), type === 'ABANDON' ? 0 : 1);
    }
  });

  it('an activity is completed from outside', async () => {
    const token = async () => {
      await eventually('the activity waits', async () => waiting.length > 0);
      return waiting.pop()!;
    };
    let handle = await call('later', [], { activityId: 'by token', heartbeatTimeout: '1m', retry: ONCE });
    const first = await token();
    await client.activity.heartbeat(first, 'from outside');
    await client.activity.complete(first, 'done by token');
    assert.equal(await handle.result(), 'done by token');
    await assert.rejects(client.activity.complete(first, 'again'), ActivityNotFoundError);
    handle = await call('later', [], { activityId: 'by id', heartbeatTimeout: '1m', retry: ONCE });
    await token();
    await client.activity.complete({ workflowId: handle.workflowId, activityId: 'by id' }, 'done by id');
    assert.equal(await handle.result(), 'done by id');
    handle = await call('later', [], { heartbeatTimeout: '1m', retry: ONCE });
    await client.activity.fail(await token(), ApplicationFailure.create({ message: 'as told', type: 'Told' }));
    assert.equal((await reason(handle.result())).type, 'Told');
  });

  it('many activities at once', async () => {
    assert.equal(await (await lab.run(flows.fans, [200])).result(), 19900);
  });

  it('local activities: results, retries in the task and by a timer, failures', async () => {
    // In a cache that others fill the SDK cancels the local activities of a workflow that it drops: here there is room.
    await withLab(new Lab('workflows', { maxCachedWorkflows: 100, maxConcurrentWorkflowTaskExecutions: 10 }), async (own) => {
      const handle = await own.run(flows.actsLocally, []);
      assert.equal(await handle.result(), 'a 3 2 Local');
      assert.equal(await count(handle.workflowId, 'activityTaskScheduledEventAttributes'), 0);
      assert.ok((await count(handle.workflowId, 'markerRecordedEventAttributes')) >= 4);
    });
  });
};

const children = () => {
  const childRuns = (id: string) => eventually('the child runs', async () => (await count(id, 'childWorkflowExecutionStartedEventAttributes')) === 1);

  it('a child returns, continues as new, fails, runs out of time, is terminated', async () => {
    assert.equal(await (await lab.run(flows.parent, ['ok', {}])).result(), 'well');
    assert.equal(await (await lab.run(flows.parent, ['again', {}])).result(), 'well');
    await assert.rejects((await lab.run(flows.parent, ['fail', {}])).result(), (e: any) => {
      assert.ok(e.cause instanceof ChildWorkflowFailure && e.cause.cause instanceof ApplicationFailure);
      assert.deepEqual([e.cause.cause.type, e.cause.cause.details], ['Told', [42]]);
      return true;
    });
    assert.ok((await reason((await lab.run(flows.parent, ['wait', { workflowRunTimeout: 300 }])).result())) instanceof TimeoutFailure);
    const handle = await lab.run(flows.parent, ['wait', {}]);
    await childRuns(handle.workflowId);
    await client.workflow.getHandle(`${handle.workflowId}-child`).terminate('from outside');
    assert.ok((await reason(handle.result())) instanceof TerminatedFailure);
  });

  it("a child's id is taken", async () => {
    const taken = await lab.run(flows.child, ['wait']);
    assert.equal(await (await lab.run(flows.takesTheId, [taken.workflowId])).result(), taken.workflowId);
    await taken.terminate();
  });

  it('each parent close policy', async () => {
    for (const [policy, wanted] of [['TERMINATE', 'TERMINATED'], ['REQUEST_CANCEL', 'CANCELLED'], ['ABANDON', 'RUNNING']] as const) {
      const handle = await lab.run(flows.leaves, [policy]);
      await handle.result();
      const id = `${handle.workflowId}-child`;
      await eventually(policy, async () => (await status(id)) === wanted);
      assert.equal((await client.workflow.getHandle(id).describe()).parentExecution?.workflowId, handle.workflowId);
      if (policy === 'ABANDON') await client.workflow.getHandle(id).terminate();
    }
  });

  it('a parent signals its child and cancels it, with each type of cancellation', async () => {
    for (const [type, wanted, ends] of [
      ['signal', 'heard hello', 'COMPLETED'], ['WAIT_CANCELLATION_COMPLETED', 'child cancelled', 'CANCELLED'],
      ['WAIT_CANCELLATION_REQUESTED', 'child cancelled', 'CANCELLED'], ['TRY_CANCEL', 'child cancelled', 'CANCELLED'], ['ABANDON', 'child cancelled', 'RUNNING'],
    ] as const) {
      const handle = await lab.run(flows.speaksToChild, [type]);
      const id = `${handle.workflowId}-child`;
      await eventually(`${type}: the child is ${ends}`, () => status(id).then((now) => now === ends, () => false));
      await handle.signal(flows.end);
      assert.equal(await handle.result(), wanted, type);
      assert.equal(await status(id), ends, type);
      if (ends === 'RUNNING') await client.workflow.getHandle(id).terminate();
    }
  });

  it("a parent's cancellation reaches its child", async () => {
    const handle = await lab.run(flows.parent, ['wait', { cancellationType: 'WAIT_CANCELLATION_COMPLETED' }]);
    await childRuns(handle.workflowId);
    await handle.cancel();
    assert.ok((await reason(handle.result())) instanceof CancelledFailure);
    assert.equal(await status(`${handle.workflowId}-child`), 'CANCELLED');
  });

  it('another workflow is signalled and cancelled, with its run and without', async () => {
    for (const withRun of [true, false]) {
      const other = await lab.run(flows.spokenTo, []);
      const handle = await lab.run(flows.speaksToOthers, withRun ? [other.workflowId, other.firstExecutionRunId] : [other.workflowId]);
      assert.equal(await handle.result(), '');
      assert.equal(await other.result(), 'hello, cancelled');
    }
    assert.equal(await (await lab.run(flows.speaksToOthers, [lab.id()])).result(), 'signal cancel');
  });

  it('many children at once', async () => {
    assert.equal(await (await lab.run(flows.manyChildren, [30])).result(), 30);
  });

  it('a workflow continues as new and keeps what it should', async () => {
    const handle = await lab.run(flows.countsDown, [5, []], {
      memo: { note: 'first' }, typedSearchAttributes: new TypedSearchAttributes([{ key: flows.colour, value: 'red' }]),
    });
    await handle.signal(flows.say, 'hello');
    assert.equal(await handle.result(), 'hello left 0 red true true');
    assert.equal(await status(handle.workflowId, handle.firstExecutionRunId), 'CONTINUED_AS_NEW');
    await assert.rejects(client.workflow.getHandle(handle.workflowId, handle.firstExecutionRunId, { followRuns: false }).result(), WorkflowContinuedAsNewError);
  });
};

const lives = () => {
  it('a workflow is started again', async () => {
    const workflowId = lab.id();
    const first = await lab.run(flows.child, ['wait'], { workflowId });
    await assert.rejects(lab.run(flows.child, ['ok'], { workflowId }), WorkflowExecutionAlreadyStartedError);
    const same = await lab.run(flows.child, ['ok'], { workflowId, workflowIdConflictPolicy: 'USE_EXISTING' });
    assert.equal(same.firstExecutionRunId, first.firstExecutionRunId);
    const other = await lab.run(flows.child, ['ok'], { workflowId, workflowIdConflictPolicy: 'TERMINATE_EXISTING' });
    assert.ok((await reason(client.workflow.getHandle(workflowId, first.firstExecutionRunId).result())) instanceof TerminatedFailure);
    assert.equal(await other.result(), 'well');
    await assert.rejects(lab.run(flows.child, ['ok'], { workflowId, workflowIdReusePolicy: 'REJECT_DUPLICATE' }), WorkflowExecutionAlreadyStartedError);
  });

  it('a late start, with a summary', async () => {
    const handle = await lab.run(flows.hello, ['late'], { startDelay: 300, staticSummary: 'in short', staticDetails: 'at length' });
    await handle.result();
    const description = await handle.describe();
    assert.deepEqual([await description.staticSummary(), await description.staticDetails()], ['in short', 'at length']);
    const backoff = (await events(handle.workflowId))[0].workflowExecutionStartedEventAttributes!.firstWorkflowTaskBackoff!;
    assert.equal(backoff.nanos, 300_000_000);
  });

  it('a workflow is retried, repeated by cron, and runs out of time', async () => {
    const retried = await lab.run(flows.failsTwice, [], { retry: QUICK });
    assert.equal(await retried.result(), 3);
    assert.equal(await status(retried.workflowId, retried.firstExecutionRunId), 'FAILED');
    const cron = await lab.run(flows.adds, [], { cronSchedule: '@every 1s' });
    await eventually('the third run waits', async () => {
      const last = (await events(cron.workflowId))[0].workflowExecutionStartedEventAttributes!.lastCompletionResult?.payloads?.[0]?.data;
      return last != null && Number(Buffer.from(last).toString()) >= 2;
    });
    await client.workflow.getHandle(cron.workflowId).terminate('enough');
    for (const options of [{ workflowRunTimeout: 300 }, { workflowExecutionTimeout: 300 }]) {
      const late = await lab.run(flows.child, ['wait'], options);
      assert.ok((await reason(late.result())) instanceof TimeoutFailure);
      assert.equal(await status(late.workflowId), 'TIMED_OUT');
    }
  });

  it('a cancelled workflow tidies up where the cancellation does not reach', async () => {
    for (const what of ['timer', 'activity', 'condition', 'scopes']) {
      const handle = await lab.run(flows.tidiesUp, [what]);
      await isWaiting(handle.workflowId);
      await handle.cancel();
      assert.equal(await handle.result(), 'tidied 7', what);
    }
    await assert.rejects(client.workflow.getHandle(lab.id()).cancel(), WorkflowNotFoundError);
  });

  it('cancellation scopes in each other, conditions and races of timers', async () => {
    const handle = await lab.run(flows.scopes, []);
    assert.equal(await handle.result(), 'in time false, inner cancelled, shielded ended, short, timeout cancelled');
    assert.ok((await count(handle.workflowId, 'timerCanceledEventAttributes')) >= 2);
  });

  it('a workflow is cancelled and terminated', async () => {
    const first = await lab.run(flows.child, ['wait']);
    await isWaiting(first.workflowId);
    await first.cancel();
    assert.ok((await reason(first.result())) instanceof CancelledFailure);
    const second = await lab.run(flows.child, ['wait']);
    await second.terminate('enough');
    assert.ok((await reason(second.result())) instanceof TerminatedFailure);
    await assert.rejects(second.terminate('again'), WorkflowNotFoundError);
  });

  it('markers, memo and search attributes', async () => {
    const handle = await lab.run(flows.remembers, [], {
      memo: { note: 'old', dropped: 'soon', kept: 1 }, typedSearchAttributes: [{ key: flows.colour, value: 'red' }],
    });
    assert.equal(await handle.result(), '36 true true true new');
    const description = await handle.describe();
    assert.deepEqual(description.memo, { note: 'new', kept: 1 });
    assert.equal(description.typedSearchAttributes.get(flows.colour), 'blue');
    assert.deepEqual(description.typedSearchAttributes.get(flows.tags), ['a', 'b']);
    assert.equal(description.typedSearchAttributes.get(flows.weight), undefined);
    for (const [query, wanted] of [["InteropColour = 'blue'", 1], ["InteropColour = 'red'", 0], ["InteropTags = 'b'", 1], ['InteropWeight IS NULL', 1]] as const) {
      const both = `WorkflowId = '${handle.workflowId}' AND ${query}`;
      const found = [];
      for await (const w of client.workflow.list({ query: both })) found.push(w.workflowId);
      assert.equal(found.length, wanted, query);
      assert.equal((await client.workflow.count(both)).count, wanted, query);
    }
  });

  it('a search attribute that nobody registered', async () => {
    await assert.rejects(lab.run(flows.hello, ['x'], { searchAttributes: { NeverRegistered: [true] } }), ServiceError);
  });

  it('a run is reset', async () => {
    const handle = await lab.run(flows.collects, []);
    await isWaiting(handle.workflowId);
    await handle.signal(flows.say, 'kept');
    await handle.signal(flows.say, 'end');
    await handle.result();
    const { runId } = await client.workflowService.resetWorkflowExecution({
      namespace: 'default', requestId: randomUUID(), reason: 'once more', workflowTaskFinishEventId: 4 as any,
      workflowExecution: { workflowId: handle.workflowId, runId: handle.firstExecutionRunId },
    });
    assert.deepEqual(await client.workflow.getHandle<typeof flows.collects>(handle.workflowId, runId).result(), ['kept', 'end']);
  });

  it('a hundred workflows, listed in pages of seven', async () => {
    const all = await Promise.all(Array.from({ length: 100 }, () => lab.run(flows.fans, [2], { memo: { many: true } })));
    for (const handle of all) assert.equal(await handle.result(), 1);
    let listed = 0;
    for await (const w of client.workflow.list({ query: `TaskQueue = '${lab.queue}' AND WorkflowType = 'fans'`, pageSize: 7 })) listed += w.memo?.many === true ? 1 : 0;
    assert.equal(listed, 100);
  });
};

const schedules = () => {
  it('a schedule is made, described, triggered, paused, changed, filled in, listed and deleted', async () => {
    const scheduleId = lab.id();
    const options = {
      scheduleId, spec: { intervals: [{ every: '1h' }] }, policies: { overlap: 'ALLOW_ALL' }, memo: { owner: 'us' }, state: { paused: true, note: 'at first' },
      action: { type: 'startWorkflow', workflowType: flows.hello, args: ['planned'], taskQueue: lab.queue, workflowId: lab.id() },
    } as const;
    const schedule = await client.schedule.create(options as any);
    await assert.rejects(client.schedule.create(options as any), ScheduleAlreadyRunning);
    let d = await schedule.describe();
    assert.deepEqual([d.state.paused, d.state.note, d.memo?.owner, d.spec.intervals?.[0].every], [true, 'at first', 'us', 3_600_000]);
    assert.ok(d.info.nextActionTimes.length > 0);
    await schedule.trigger();
    await eventually('it was triggered', async () => (await schedule.describe()).info.recentActions.length === 1);
    const started = (await schedule.describe()).info.recentActions[0].action.workflow;
    assert.equal(await client.workflow.getHandle(started.workflowId, started.firstExecutionRunId).result(), 'Hello, planned!');
    await schedule.unpause('go');
    assert.equal((await schedule.describe()).state.note, 'go');
    await schedule.pause('stop');
    assert.equal((await schedule.describe()).state.paused, true);
    await schedule.update((previous) => ({ ...previous, spec: { calendars: [{ hour: 3 }] }, state: { ...previous.state, note: 'calendar' } }) as any);
    await eventually('it was changed', async () => (await schedule.describe()).state.note === 'calendar');
    d = await schedule.describe();
    assert.equal(d.spec.calendars?.[0].hour[0].start, 3);
    const today = new Date();
    today.setUTCHours(0, 0, 0, 0);
    await schedule.backfill({ start: new Date(today.getTime() - 3 * 86_400_000), end: today, overlap: ScheduleOverlapPolicy.ALLOW_ALL });
    await eventually('three days were filled in', async () => (await schedule.describe()).info.numActionsTaken === 4);
    await eventually('all runs are over', async () => (await schedule.describe()).info.runningActions.length === 0);
    const listed = [];
    for await (const s of client.schedule.list({ pageSize: 2 })) listed.push(s.scheduleId);
    assert.ok(listed.includes(scheduleId));
    await schedule.delete();
    await assert.rejects(schedule.describe(), ScheduleNotFoundError);
  });

  it('a schedule fires as often as it may', async () => {
    const schedule = await client.schedule.create({
      scheduleId: lab.id(), spec: { intervals: [{ every: '1s' }] }, state: { remainingActions: 2 },
      action: { type: 'startWorkflow', workflowType: flows.hello, args: ['clock'], taskQueue: lab.queue },
    });
    await eventually('both actions were taken', async () => {
      const d = await schedule.describe();
      return d.info.numActionsTaken === 2 && d.info.runningActions.length === 0 && !d.state.remainingActions;
    });
    await schedule.delete();
  });
};

const caches = () => {
  it('workflows take turns in a small cache', async () => {
    await withLab(new Lab('workflows', { maxCachedWorkflows: 2, maxConcurrentWorkflowTaskExecutions: 2, maxConcurrentWorkflowTaskPolls: 2 }), async (own) => {
      const all = await Promise.all(Array.from({ length: 6 }, () => own.run(flows.collects, [])));
      for (let i = 1; i <= 5; i++) {
        for (const handle of all) {
          await handle.signal(flows.say, String(i));
          assert.equal((await handle.query(flows.said, '')).length, i);
        }
      }
      await Promise.all(all.map((handle) => handle.signal(flows.say, 'end')));
      for (const handle of all) assert.deepEqual(await handle.result(), ['1', '2', '3', '4', '5', 'end']);
    });
  });

  it('without a cache each task is replayed from the first event', async () => {
    await withLab(new Lab('workflows', { maxCachedWorkflows: 0 }), async (own) => {
      const handle = await own.run(flows.account, [0]);
      for (let i = 1; i <= 3; i++) assert.equal(await handle.executeUpdate(flows.deposit, { args: [1] }), i);
      await handle.executeUpdate(flows.close);
      assert.equal(await handle.result(), 3);
      assert.equal(await (await own.run(flows.parent, ['again', {}])).result(), 'well');
    });
  });

  it('a long history goes to another worker', async () => {
    await withLab(new Lab(), async (own) => {
      const handle = await own.run(flows.longHistory, [15]);
      await eventually('its activities are done', async () => (await count(handle.workflowId, 'activityTaskCompletedEventAttributes')) === 300);
      await own.stop();
      await own.start();
      await handle.signal(flows.end);
      assert.equal(await handle.result(), 15 * 190);
    });
  });

  it('signals wait for a worker to come', async () => {
    const own = new Lab();
    const handle = await own.run(flows.collects, []);
    for (const text of ['a', 'b', 'end']) await handle.signal(flows.say, text);
    await withLab(own, async () => assert.deepEqual(await handle.result(), ['a', 'b', 'end']));
    assert.equal(await count(handle.workflowId, 'workflowTaskCompletedEventAttributes'), 1);
  });

  it('code changes under a patch while a workflow runs', async () => {
    await withLab(new Lab(), async (own) => {
      const old = await own.run(flows.turns, []);
      await isWaiting(old.workflowId);
      await own.stop();
      await own.start('changed');
      await old.signal(flows.end);
      assert.equal(await old.result(), 'old way');
      const young = await own.run(flows.turns, []);
      assert.equal(await young.result(), 'new way 1');
      for (const handle of [old, young]) await Worker.runReplayHistory(replayOptions('changed'), await handle.fetchHistory(), handle.workflowId);
    }, false);
  });

  it('changed code does not replay', async () => {
    const handle = await lab.run(flows.code, []);
    await handle.result();
    const history = await handle.fetchHistory();
    await Worker.runReplayHistory(replayOptions(), history);
    await assert.rejects(Worker.runReplayHistory(replayOptions('changed'), history), DeterminismViolationError);
  });

  it('a history replays from the JSON of our command line', async () => {
    for (const handle of [await lab.run(flows.remembers, []), await lab.run(flows.parent, ['again', {}])]) {
      await handle.result();
      await Worker.runReplayHistory(replayOptions(), shown(handle.workflowId), handle.workflowId);
    }
  });
};

describe('TypeScript SDK', { timeout: 2 * PATIENCE }, () => {
  before(async () => {
    await connect();
    lab = await new Lab().start();
  });
  after(async () => {
    await lab.stop();
    await disconnect();
  });
  describe('what may run at once', { concurrency: 12, timeout: 2 * PATIENCE }, () => {
    for (const group of [signalsAndQueries, updates, activityTests, children, lives, schedules, caches]) group();
  });
  it('all histories of the shared worker replay', async () => {
    assert.ok((await lab.replayAll()) > 200);
  });
});
