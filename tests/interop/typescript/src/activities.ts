import { ApplicationFailure, CancelledFailure, Context, heartbeat, sleep, activityInfo, CompleteAsyncError } from '@temporalio/activity';

export async function echo<T>(value: T): Promise<T> {
  return value;
}

export async function failsUntil(attempt: number, kind: string): Promise<number> {
  const now = activityInfo().attempt;
  if (now < attempt) throw ApplicationFailure.create({ message: 'not yet', type: kind, details: [attempt] });
  return now;
}

export async function failsWithDelay(): Promise<number> {
  const now = activityInfo().attempt;
  if (now < 2) throw ApplicationFailure.create({ message: 'soon', nextRetryDelay: '10ms' });
  return now;
}

/** Heartbeats a count, fails at each multiple of three and goes on from where the last attempt was. */
export async function countsOn(to: number): Promise<string> {
  const from: number = activityInfo().heartbeatDetails ?? 0;
  for (let n = from + 1; n <= to; n++) {
    heartbeat(n);
    if (n % 3 === 0 && n < to) throw new Error('stumbled');
  }
  return `from ${from} to ${to}`;
}

/** Runs until it is cancelled, which it learns by heartbeats; then it says so. */
export async function hangs(beats: boolean): Promise<never> {
  for (;;) {
    if (beats) heartbeat('beating');
    try {
      await sleep(20);
    } catch (e) {
      if (e instanceof CancelledFailure) throw new CancelledFailure('tidied up', ['tidied up']);
      throw e;
    }
  }
}

export async function beatsOnceThenHangs(): Promise<void> {
  heartbeat('last words');
  await Context.current().cancelled;
}

/** Ends when somebody outside completes it. */
export async function later(): Promise<string> {
  waiting.push(activityInfo().taskToken);
  throw new CompleteAsyncError();
}

export const waiting: Uint8Array[] = [];
