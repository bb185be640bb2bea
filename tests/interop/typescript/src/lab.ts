// What every test here uses: the client, workers of their own or the shared one, and what is waited for.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Client, Connection, WorkflowFailedError } from '@temporalio/client';
import type { WorkflowHandleWithFirstExecutionRunId, WorkflowStartOptions } from '@temporalio/client';
import type { Workflow } from '@temporalio/common';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import type { ReplayWorkerOptions, WorkerOptions } from '@temporalio/worker';
import type { History } from '@temporalio/common/lib/proto-utils';
import type { temporal } from '@temporalio/proto';
import * as activities from './activities';

export type Event = temporal.api.history.v1.IHistoryEvent;

/** Generous: the machine may be busy, and nothing here is a claim about time. */
export const PATIENCE = 180_000;

const cache = Number(process.env.PERDURE_CACHE);
const address = process.env.PERDURE_ADDRESS!;
const bundles = {
  workflows: { codePath: join(__dirname, 'workflows.bundle.js') },
  changed: { codePath: join(__dirname, 'changed.bundle.js') },
};

export let client: Client;
let native: NativeConnection;

export async function connect(): Promise<void> {
  Runtime.install({ logger: new DefaultLogger('ERROR', () => undefined), telemetryOptions: { logging: { filter: { core: 'ERROR', other: 'ERROR' }, forward: {} } } });
  client = new Client({ connection: await Connection.connect({ address }) });
  native = await NativeConnection.connect({ address });
  await client.connection.ensureConnected();
  await (client.connection as Connection).operatorService.addSearchAttributes({
    namespace: 'default', searchAttributes: { InteropColour: 2, InteropWeight: 3, InteropTags: 7 },
  }).catch((e) => {
    if (e.code !== 6) throw e; // 6: they are there
  });
}

export async function disconnect(): Promise<void> {
  await client.connection.close();
  await native.close();
}

export class Lab {
  queue = `ts-${randomUUID()}`;
  worker!: Worker;
  private running!: Promise<void>;

  constructor(private readonly bundle: keyof typeof bundles = 'workflows', private readonly options: Partial<WorkerOptions> = {}) {}

  async start(bundle = this.bundle): Promise<this> {
    const small = Number.isNaN(cache) ? {} : { maxCachedWorkflows: cache, maxConcurrentWorkflowTaskExecutions: 2, maxConcurrentWorkflowTaskPolls: 2 };
    this.worker = await Worker.create({
      connection: native, taskQueue: this.queue, workflowBundle: bundles[bundle], activities, shutdownGraceTime: '1s', maxHeartbeatThrottleInterval: 50, ...small,
      ...this.options,
    });
    this.running = this.worker.run();
    return this;
  }

  async stop(): Promise<void> {
    if (this.worker.getState() === 'RUNNING') this.worker.shutdown();
    await this.running;
  }

  id(): string {
    return `${this.queue}-${randomUUID().slice(0, 8)}`;
  }

  async run<T extends Workflow>(flow: T | string, args: Parameters<T>, options: Partial<WorkflowStartOptions> = {}): Promise<WorkflowHandleWithFirstExecutionRunId<T>> {
    return await client.workflow.start<T>(flow as T, { taskQueue: this.queue, workflowId: this.id(), ...options, args } as unknown as WorkflowStartOptions<T>);
  }

  /** Replays each history that this queue has seen. */
  async replayAll(): Promise<number> {
    const histories = client.workflow.list({ query: `TaskQueue = '${this.queue}'` }).intoHistories({ concurrency: 4 });
    const seen = async function* () {
      for await (const h of histories) if ((h.history as History).events?.some((e) => e.workflowTaskCompletedEventAttributes)) yield h;
    };
    let count = 0;
    for await (const result of Worker.runReplayHistories(replayOptions(), seen())) {
      assert.equal(result.error, undefined, `replay of ${result.workflowId}: ${result.error}`);
      count++;
    }
    return count;
  }
}

export const replayOptions = (bundle: keyof typeof bundles = 'workflows'): ReplayWorkerOptions => ({ workflowBundle: bundles[bundle] });

export async function eventually(what: string, check: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + PATIENCE;
  while (!(await check())) {
    assert.ok(Date.now() < end, `did not come true: ${what}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

export async function events(id: string, run?: string): Promise<Event[]> {
  return (await client.workflow.getHandle(id, run).fetchHistory()).events ?? [];
}

/** A history as our command line writes it. */
export function shown(id: string): unknown {
  const program = join(__dirname, '../../../perdure');
  return JSON.parse(execFileSync(program, ['workflow', 'show', '--address', address, '--workflow-id', id, '--output', 'json'], { encoding: 'utf8' }));
}

/** How many events of a history have these attributes. */
export async function count(id: string, attributes: keyof Event, run?: string): Promise<number> {
  return (await events(id, run)).filter((e) => e[attributes]).length;
}

/** The innermost reason why a workflow failed. */
export async function reason(result: Promise<unknown>): Promise<any> {
  try {
    await result;
  } catch (e) {
    assert.ok(e instanceof WorkflowFailedError, `${e}`);
    let cause: any = e;
    while (cause.cause) cause = cause.cause;
    return cause;
  }
  assert.fail('the workflow did not fail');
}
