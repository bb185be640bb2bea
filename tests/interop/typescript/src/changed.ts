// What some of workflows.ts becomes: `turns` under a patch, `code` without one.
import { condition, patched, proxyActivities, setHandler, sleep } from '@temporalio/workflow';
import type * as acts from './activities';
import { end } from './workflows';

const { echo } = proxyActivities<typeof acts>({ startToCloseTimeout: '3m' });

export async function turns(): Promise<string> {
  let isEnd = false;
  setHandler(end, () => void (isEnd = true));
  if (patched('no signal')) return `new way ${await echo(1)}`;
  await condition(() => isEnd);
  await sleep(10);
  return 'old way';
}

export async function code(): Promise<string> {
  await echo(1);
  return 'new';
}
