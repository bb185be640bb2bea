import {
  ActivityCancellationType, ActivityFailure, ApplicationFailure, CancellationScope, CancelledFailure, ChildWorkflowCancellationType, ChildWorkflowFailure,
  ParentClosePolicy, Trigger, allHandlersFinished, condition, continueAsNew, currentUpdateInfo, defineQuery,
  defineSignal, defineUpdate, deprecatePatch, executeChild, getExternalWorkflowHandle, isCancellation, makeContinueAsNewFunc, patched, proxyActivities,
  proxyLocalActivities, setHandler, sleep, startChild, upsertMemo, upsertSearchAttributes, uuid4, workflowInfo,
} from '@temporalio/workflow';
import type { ActivityOptions, ChildWorkflowOptions } from '@temporalio/workflow';
import { WorkflowExecutionAlreadyStartedError, defineSearchAttributeKey } from '@temporalio/common';
import type * as acts from './activities';

export const colour = defineSearchAttributeKey('InteropColour', 'KEYWORD');
export const weight = defineSearchAttributeKey('InteropWeight', 'INT');
export const tags = defineSearchAttributeKey('InteropTags', 'KEYWORD_LIST');

const { echo } = proxyActivities<typeof acts>({ startToCloseTimeout: '3m' });

export async function hello(name: string): Promise<string> {
  return `Hello, ${name}!`;
}

// ---- signals, queries, updates ----

export const say = defineSignal<[string]>('say');
export const end = defineSignal('end');
export const said = defineQuery<string[], [string]>('said');

/** Says what it was told, in order, when it is told "end". */
export async function collects(): Promise<string[]> {
  const heard: string[] = [];
  setHandler(say, (text) => void heard.push(text));
  setHandler(said, (prefix) => {
    if (prefix === 'bad') throw new Error('no such prefix');
    return heard.map((text) => prefix + text);
  });
  await condition(() => heard.includes('end'));
  return heard;
}

export const deposit = defineUpdate<number, [number]>('deposit');
export const reaches = defineUpdate<string, [number]>('reaches');
export const close = defineUpdate<void>('close');

/** Changed by updates only. One of them calls an activity, one waits for the others. */
export async function account(balance: number): Promise<number> {
  let isClosed = false;
  setHandler(deposit, async (by) => {
    if (by === 13) throw ApplicationFailure.create({ message: 'unlucky', type: 'Unlucky', details: [by] });
    const got = await echo(by);
    return (balance += got);
  }, {
    validator: (by) => {
      if (by < 0) throw new Error('only upwards');
    },
  });
  setHandler(reaches, async (level) => {
    await condition(() => balance >= level);
    return currentUpdateInfo()!.id;
  });
  setHandler(close, async () => void (isClosed = true));
  await condition(() => isClosed && allHandlersFinished());
  return balance;
}

// ---- activities ----

/** Calls one activity and says what became of it. */
export async function callsActivity(name: keyof typeof acts, args: unknown[], options: ActivityOptions): Promise<unknown> {
  const proxy = proxyActivities<Record<string, (...a: unknown[]) => Promise<unknown>>>({ startToCloseTimeout: '3m', ...options });
  return await proxy[name](...args);
}

export async function fans(n: number): Promise<number> {
  const got = await Promise.all(Array.from({ length: n }, (_, i) => echo(i)));
  return got.reduce((a, b) => a + b, 0);
}

export const cancelIt = defineSignal('cancelIt');

/** Starts an activity in a scope, cancels the scope when it is told and says how it ended. */
export async function cancelsActivity(type: ActivityCancellationType): Promise<string> {
  const told = new Trigger<void>();
  setHandler(cancelIt, () => told.resolve());
  const { hangs } = proxyActivities<typeof acts>({ startToCloseTimeout: '3m', heartbeatTimeout: '1m', cancellationType: type });
  const scope = new CancellationScope();
  const ended = scope.run(() => hangs(true)).then(() => 'ended', (e) => {
    if (!(e instanceof ActivityFailure) || !isCancellation(e)) throw e;
    return e.cause instanceof CancelledFailure && e.cause.details?.length ? String(e.cause.details[0]) : 'cancelled';
  });
  await told;
  scope.cancel();
  return await ended;
}

/** Local activities: a result, retries inside the task, one that waits for a timer of the server, and a failure. */
export async function actsLocally(): Promise<string> {
  const quick = proxyLocalActivities<typeof acts>({ startToCloseTimeout: '3m', retry: { initialInterval: '10ms', backoffCoefficient: 1 } });
  const slow = proxyLocalActivities<typeof acts>({
    startToCloseTimeout: '3m', localRetryThreshold: '100ms', retry: { initialInterval: '300ms', backoffCoefficient: 1 },
  });
  const once = proxyLocalActivities<typeof acts>({ startToCloseTimeout: '3m', retry: { maximumAttempts: 1 } });
  const heard = [await quick.echo('a'), await quick.failsUntil(3, 'Local'), await slow.failsUntil(2, 'Local')];
  try {
    await once.failsUntil(9, 'Local');
  } catch (e) {
    const failure = e instanceof ActivityFailure ? e.cause : e;
    heard.push(`${failure instanceof ApplicationFailure && failure.type}`);
  }
  return heard.join(' ');
}

// ---- children ----

/** Does what it is told: "ok", "fail", "wait" (to be cancelled), "again" (continues as new) or "listen" (for a signal). */
export async function child(what: string): Promise<string> {
  if (what === 'fail') throw ApplicationFailure.nonRetryable('as told', 'Told', 42);
  if (what === 'again') await continueAsNew<typeof child>('ok');
  if (what === 'wait') await condition(() => false);
  if (what === 'listen') {
    let heard = '';
    setHandler(say, (text) => void (heard = text));
    await condition(() => heard !== '');
    return `heard ${heard}`;
  }
  return 'well';
}

const childId = () => `${workflowInfo().workflowId}-child`;

export async function parent(what: string, options: Omit<ChildWorkflowOptions, 'typeInfo'>): Promise<string> {
  return await executeChild(child, { workflowId: childId(), ...options, args: [what] });
}

export async function takesTheId(workflowId: string): Promise<string> {
  try {
    await startChild(child, { workflowId, args: ['ok'] });
  } catch (e) {
    if (e instanceof WorkflowExecutionAlreadyStartedError) return e.workflowId;
    throw e;
  }
  return 'started';
}

/** Ends while its child runs. */
export async function leaves(policy: ParentClosePolicy): Promise<void> {
  await startChild(child, { workflowId: childId(), args: ['wait'], parentClosePolicy: policy });
}

/** Signals its child, or cancels it with each type of cancellation; ends when it is told, for what a workflow asks of others as it ends is lost. */
export async function speaksToChild(type: ChildWorkflowCancellationType | 'signal'): Promise<string> {
  let isEnd = false;
  setHandler(end, () => void (isEnd = true));
  const said = type === 'signal' ? await signalsChild() : await cancelsChild(type);
  await condition(() => isEnd);
  return said;
}

async function signalsChild(): Promise<string> {
  const handle = await startChild(child, { workflowId: childId(), args: ['listen'] });
  await handle.signal(say, 'hello');
  return await handle.result();
}

async function cancelsChild(cancellationType: ChildWorkflowCancellationType): Promise<string> {
  try {
    await CancellationScope.cancellable(async () => {
      const handle = await startChild(child, { workflowId: childId(), args: ['wait'], cancellationType, parentClosePolicy: ParentClosePolicy.ABANDON });
      CancellationScope.current().cancel();
      await handle.result();
    });
  } catch (e) {
    if (!isCancellation(e)) throw e;
    return e instanceof ChildWorkflowFailure ? 'child cancelled' : 'scope cancelled';
  }
  return 'ended';
}

export async function manyChildren(n: number): Promise<number> {
  const all = await Promise.all(Array.from({ length: n }, (_, i) => executeChild(child, { workflowId: childId() + i, args: ['ok'] })));
  return all.length;
}

/** Signals and cancels another workflow and says which of both did not reach one. */
export async function speaksToOthers(workflowId: string, runId?: string): Promise<string> {
  const other = getExternalWorkflowHandle(workflowId, runId);
  let lost = '';
  await other.signal(say, 'hello').catch(() => void (lost += 'signal '));
  await other.cancel().catch(() => void (lost += 'cancel'));
  return lost;
}

export async function spokenTo(): Promise<string> {
  let heard = '';
  setHandler(say, (text) => void (heard = text));
  await condition(() => heard !== '');
  try {
    await sleep('1h');
  } catch (e) {
    if (isCancellation(e)) return `${heard}, cancelled`;
    throw e;
  }
  return 'slept';
}

/** Continues as new until nothing is left; signals are carried on. */
export async function countsDown(left: number, heard: string[]): Promise<string> {
  setHandler(say, (text) => void heard.push(text));
  const info = workflowInfo();
  if (left > 0) {
    await sleep(20);
    const again = makeContinueAsNewFunc<typeof countsDown>({ memo: { note: `left ${left - 1}` }, searchAttributes: undefined });
    await again(left - 1, heard);
  }
  await condition(() => heard.length > 0);
  return [heard, info.memo?.note, info.typedSearchAttributes.get(colour), info.continuedFromExecutionRunId !== undefined, info.firstExecutionRunId !== info.runId].join(' ');
}

// ---- scopes and timers ----

/** Is cancelled while it waits for what it is told, then runs an activity that the cancellation does not reach. */
export async function tidiesUp(what: string): Promise<string> {
  const { hangs } = proxyActivities<typeof acts>({
    startToCloseTimeout: '3m', heartbeatTimeout: '1m', cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
  });
  try {
    if (what === 'timer') await sleep('1h');
    if (what === 'activity') await hangs(true);
    if (what === 'condition') await condition(() => false);
    if (what === 'scopes') await Promise.all([CancellationScope.cancellable(() => sleep('1h')), sleep('2h')]);
  } catch (e) {
    if (!isCancellation(e)) throw e;
    return await CancellationScope.nonCancellable(async () => `tidied ${await echo(7)}`);
  }
  return 'was not cancelled';
}

export async function scopes(): Promise<string> {
  const heard: string[] = [];
  const note = (name: string) => (e: unknown) => void heard.push(`${name} ${isCancellation(e) ? 'cancelled' : e}`);
  await CancellationScope.withTimeout(30, () => sleep('1h')).catch(note('timeout'));
  const outer = new CancellationScope();
  const inner = outer.run(() => CancellationScope.cancellable(() => sleep('1h')).catch(note('inner')));
  const shielded = outer.run(() => CancellationScope.nonCancellable(() => sleep(50)).then(() => void heard.push('shielded ended'), note('shielded')));
  const own = sleep(20).then(() => outer.cancel());
  await Promise.all([inner, shielded.catch(note('shield')), own]);
  heard.push(`in time ${await condition(() => false, 20)}`);
  heard.push(await Promise.race([sleep(20).then(() => 'short'), sleep('1h').then(() => 'long')]));
  return heard.sort().join(', '); // timers may fire in one workflow task or in several
}

// ---- what markers keep ----

export async function remembers(): Promise<string> {
  const ids = [uuid4(), String(Math.random()), String(Date.now())];
  const isPatched = patched('first');
  deprecatePatch('second');
  upsertSearchAttributes([{ key: colour, value: 'blue' }, { key: weight, value: 7 }, { key: tags, value: ['a', 'b'] }]);
  upsertMemo({ note: 'new', dropped: null });
  await sleep(10);
  upsertSearchAttributes([{ key: weight, value: null }]);
  return [ids[0].length, isPatched, patched('first'), workflowInfo().typedSearchAttributes.get(weight) === undefined, workflowInfo().memo?.note].join(' ');
}

export async function failsTwice(): Promise<number> {
  const now = workflowInfo().attempt;
  if (now < 3) throw ApplicationFailure.retryable('not yet');
  return now;
}

export async function adds(): Promise<number> {
  return ((workflowInfo().lastResult as number | undefined) ?? 0) + 1;
}

/** Makes more events than one page of history holds. */
export async function longHistory(rounds: number): Promise<number> {
  let isEnd = false;
  let sum = 0;
  setHandler(end, () => void (isEnd = true));
  for (let i = 0; i < rounds; i++) sum += (await Promise.all(Array.from({ length: 20 }, (_, k) => echo(k)))).reduce((a, b) => a + b, 0);
  await condition(() => isEnd);
  return sum;
}

/** The code of this workflow changes under a patch: changed.ts has what it becomes. */
export async function turns(): Promise<string> {
  let isEnd = false;
  setHandler(end, () => void (isEnd = true));
  await condition(() => isEnd);
  await sleep(10);
  return 'before';
}

export async function code(): Promise<string> {
  await sleep(10);
  return 'old';
}
