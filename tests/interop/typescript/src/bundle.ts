// Bundles the workflow code once for all workers: node bundle.js
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DefaultLogger, bundleWorkflowCode } from '@temporalio/worker';

async function main(): Promise<void> {
  for (const name of ['workflows', 'changed']) {
    const bundle = await bundleWorkflowCode({ workflowsPath: join(__dirname, `${name}.js`), logger: new DefaultLogger('WARN') });
    writeFileSync(join(__dirname, `${name}.bundle.js`), bundle.code);
  }
}

void main();
