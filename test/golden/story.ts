/**
 * Writes a golden journal: one small story in which every fact there is happens once or more, under a virtual clock.
 * Run once for a release, `node test/golden/story.ts > test/golden/0.4.0.json`; what it wrote is replayed for ever.
 */
import { yard } from '../scheduler/yard.ts'

const y = yard()
const { engine, clock } = y
y.start()
const model = {
  digest: 'd1',
  sizeBytes: 4_000_000_000,
  family: 'llama',
  parameterSize: '7B',
  quantization: 'Q4_0',
  capabilities: ['completion'],
}

await y.node('gpu-1', ['tiny:latest', 'big:latest'], { slots: 2 })
await y.node('gpu-2', ['tiny:latest'])
engine.attempt('model', 'tiny:latest', { type: 'model.find', data: model })
engine.attempt('node', 'gpu-2', { type: 'node.answer', data: { version: '2' } })
const machine = {
  os: { platform: 'linux', name: 'Debian GNU/Linux 12', arch: 'x64' },
  cpu: { model: 'AMD Ryzen 9 7950X', cores: 32 },
  memoryBytes: 64_000_000_000,
  gpus: [{ vendor: 'nvidia', model: 'GeForce RTX 4090', memoryBytes: 24_000_000_000 }],
  gpusKnown: true,
  disk: { fileSystem: 'ext4', type: 'ssd', sizeBytes: 1_000_000_000_000 },
  container: false,
}
engine.attempt('node', 'gpu-2', { type: 'node.equip', data: machine, by: 'agent' })
const heat = { cause: 'heat', since: clock.now() } as const
engine.attempt('node', 'gpu-2', { type: 'node.throttle', data: heat, by: 'agent' })
engine.attempt('node', 'gpu-2', { type: 'node.cool', data: {}, by: 'agent' })

await y.ask('good', 'tiny:latest')
await y.loaded('tiny:latest', 'gpu-1', 2_400)
await clock.advance(120)
const figures = {
  promptTokens: 9,
  outputTokens: 40,
  loadMs: 0.2,
  promptMs: 4.5,
  outputMs: 660,
  doneReason: 'stop',
}
engine.attempt('request', 'good', { type: 'request.begin', data: { status: 200 } })
await clock.advance(700)
engine.attempt('request', 'good', {
  type: 'request.complete',
  data: { bytes: 4_800, chunks: 41, ...figures },
})

await y.loaded('tiny:latest', 'gpu-2')
for (const id of ['one', 'two', 'three']) {
  await y.ask(id, 'tiny:latest')
  await y.failed(id, 'busy', 503)
  await y.done(id, 300)
}
await clock.advance(3_000)
await y.ask('trial', 'tiny:latest')
await y.done('trial', 200)

await y.ask('lost', 'tiny:latest')
engine.attempt('request', 'lost', { type: 'request.begin', data: { status: 200 } })
const broken = { reason: 'broken', retryable: false, bytes: 700, chunks: 6 }
engine.attempt('request', 'lost', { type: 'request.fail', data: broken })
await y.ask('left', 'tiny:latest')
engine.attempt('request', 'left', { type: 'request.abandon', data: { bytes: 0, chunks: 0 } })

await y.ask('cold', 'big:latest', { waitMs: 20_000 })
await clock.advance(10_000)
engine.attempt('replica', 'big:latest@gpu-1', {
  type: 'replica.fail',
  data: { reason: 'ollama.answer', status: 500 },
})
await clock.advance(0)
await y.failed('cold', 'error', 500)
engine.attempt('node', 'gpu-1', { type: 'node.lose', data: { reason: 'wedged', model: 'big:latest' } })
await y.ask('patient', 'big:latest', { waitMs: 2_000 })
await clock.advance(20_000)
engine.attempt('node', 'gpu-1', { type: 'node.answer', data: { version: '2' } })

for (const [type, data] of [
  ['model.pull', { nodes: ['gpu-2'] }],
  ['model.create', { nodes: ['gpu-2'] }],
  ['model.copy', { nodes: ['gpu-1', 'gpu-2'], to: 'small:latest' }],
  ['model.push', { nodes: ['gpu-1'] }],
  ['model.delete', { nodes: ['gpu-1', 'gpu-2'] }],
  ['model.fail', { verb: 'pull', nodes: ['gpu-1'], status: 500 }],
] as const) {
  engine.attempt('model', 'tiny:latest', { type, data, by: '127.0.0.1' } as never)
}
// A job that a worker takes, extends, and brings back too late; then one that is called off.
const job = {
  path: '/api/chat',
  model: 'tiny:latest',
  client: 'night',
  priority: 2,
  bodyBytes: 90,
  attemptsMax: 5,
  expiresAt: clock.now() + 86_400_000,
  class: 'batch',
  deadlineAt: clock.now() + 86_400_000,
  variant: 'num_ctx=8192',
  labels: { gpu: 'none' },
  estimate: { promptTokens: 20, outputTokens: 200, waitMs: 1_000 },
  job: true,
  key: 'k1',
  bodyDigest: 'b1',
  callback: true,
} as const
const worker = { attempt: 1, worker: 'attic', bytes: 40, chunks: 1, digest: 'a1', status: 200 }
engine.attempt('request', 'job', { type: 'request.admit', data: job })
engine.attempt('request', 'job', {
  type: 'request.lease',
  data: { worker: 'attic', until: clock.now() + 1_000 },
})
engine.attempt('request', 'job', {
  type: 'request.extend',
  data: { attempt: 1, worker: 'attic', until: clock.now() + 2_000 },
} as never)
await clock.advance(3_000)
engine.attempt('request', 'job', { type: 'request.complete', data: worker })
engine.attempt('request', 'job', {
  type: 'request.lease',
  data: { worker: 'attic', until: clock.now() + 9_000 },
})
engine.attempt('request', 'job', { type: 'request.complete', data: { ...worker, attempt: 2 } })
engine.attempt('request', 'other', { type: 'request.admit', data: job })
engine.attempt('request', 'other', { type: 'request.cancel', data: {}, by: 'cli' })
engine.attempt('delivery', 'job', {
  type: 'delivery.order',
  data: { state: 'completed', status: 200, bytes: 40, digest: 'a1' },
})
engine.attempt('delivery', 'job', {
  type: 'delivery.fail',
  data: { reason: 'status', status: 503, retryable: true, chance: 0.5 },
})
await clock.advance(60_000)
engine.attempt('delivery', 'job', { type: 'delivery.deliver', data: { status: 204 } })
engine.attempt('delivery', 'other', { type: 'delivery.order', data: { state: 'cancelled' } })
engine.attempt('delivery', 'other', {
  type: 'delivery.fail',
  data: { reason: 'address', retryable: false, chance: 0.5 },
})
engine.attempt('spool', 'job', { type: 'spool.erase', data: { why: 'asked', bytes: 130 } })
const codes = { 'house.untrusted': 2 }
engine.attempt('refusals', 'house', { type: 'refusals.count', data: { since: clock.now(), codes } })
const left = { facts: 2, until: 40, digest: 'd', kept: 1 }
engine.attempt('forgetting', 'f1', { type: 'forgetting.order', data: left, by: 'op' })
engine.attempt('forgetting', 'f1', { type: 'forgetting.end', data: {} })
const [first, second] = ['A1', 'A2'].map(serial => ({ serial, fingerprint: 'f', until: clock.now() + 9_000 }))
engine.attempt('agent', 'gpu-1', { type: 'agent.invite', data: { tokenHash: 'h', until: clock.now() + 9 } })
engine.attempt('agent', 'gpu-1', { type: 'agent.join', data: { ...first!, tokenHash: 'h' } })
engine.attempt('agent', 'gpu-1', { type: 'agent.renew', data: { ...second!, before: 'A1' } })
engine.attempt('agent', 'gpu-1', { type: 'agent.revoke', data: { reason: 'gone' }, by: 'cli' })
engine.attempt('policy', 'tiny:latest', {
  type: 'policy.set',
  data: { avoid: ['gpu-2'], numCtxMax: 8_192, keepAliveS: -1 },
  by: 'cli',
})
engine.attempt('policy', 'tiny:latest', { type: 'policy.clear', data: {}, by: 'cli' })
// A model is brought to a node at the second try, by way of somebody who asked for it; others are not.
const trouble = { reason: 'upstream', status: 500, retryable: true, chance: 0.5 } as const
const moving = (id: string, ...asks: Parameters<typeof engine.attempt<'transfer'>>[2][]): void => {
  for (const ask of asks) engine.attempt('transfer', id, ask)
}
const table = [
  { node: 'gpu-2', freeBytes: 90_000_000_000, fit: 'gpu', load: 0.5, demand: 1, preferred: true },
  { node: 'gpu-1', freeBytes: null, fit: null, load: 0, demand: 1, excluded: 'has it' },
] as const
moving(
  'tiny:latest@gpu-2',
  {
    type: 'transfer.order',
    data: { cause: 'policy', sizeBytes: 4e9, digest: 'd1', lost: ['gpu-3'], candidates: table },
    by: 'registry',
  },
  { type: 'transfer.begin', data: { command: 't1' } },
  { type: 'transfer.fail', data: { command: 't1', ...trouble } },
)
await clock.advance(60_000)
moving(
  'tiny:latest@gpu-2',
  { type: 'transfer.order', data: { cause: 'asked' }, by: 'cli' },
  { type: 'transfer.begin', data: { command: 't2' } },
  { type: 'transfer.complete', data: { command: 't2', ms: 9_000, sizeBytes: 4e9, digest: 'd1' } },
)
moving(
  'odd:latest@gpu-1',
  { type: 'transfer.order', data: { cause: 'sync' } },
  { type: 'transfer.begin', data: { command: 't3' } },
  { type: 'transfer.fail', data: { command: 't3', reason: 'unknown', retryable: false, chance: 0.5 } },
  { type: 'transfer.order', data: { cause: 'optimize' } },
  { type: 'transfer.cancel', data: { why: 'asked' }, by: 'cli' },
)
engine.attempt('model', 'tiny:latest', {
  type: 'model.delete',
  data: { nodes: ['gpu-1'], cause: 'policy' },
  by: 'registry',
})
const { seq: last, hash } = y.journal.head
const kept = { first: 1, last, firstAt: 0, lastAt: clock.now(), hash, file: 'f', bytes: 9, sha256: 's1' }
engine.attempt('archive', 'journal', { type: 'archive.seal', data: kept, by: 'cli' })
const anew = { first: 1, last, bytes: 8, sha256: 's2', forgetting: 'f1' }
engine.attempt('archive', 'journal', { type: 'archive.rewrite', data: anew })
engine.attempt('archive', 'journal', { type: 'archive.trim', data: { until: last, proven: last }, by: 'cli' })
engine.attempt('setting', 'queue-max', {
  type: 'setting.set',
  data: { value: '64', start: '512' },
  by: 'cli',
})
engine.attempt('setting', 'queue-max', { type: 'setting.reset', data: { start: '512' }, by: 'cli' })

engine.attempt('signer', 'journal', {
  type: 'signer.create',
  data: { vkey: 'quipu/golden+0+A' },
  by: 'house',
})
const next = { vkey: 'quipu/golden+1+B', endorsement: 's' }
engine.attempt('signer', 'journal', { type: 'signer.rotate', data: next, by: 'cli' })
const place = { seq: 3, code: 'journal.broken' }
engine.attempt('scrub', 'journal', { type: 'scrub.report', data: place, by: 'scrub' })

engine.attempt('subscription', 'pager', {
  type: 'subscription.create',
  data: {
    after: 0,
    filter: { kind: 'node' },
    webhook: {
      origin: 'https://hooks.example',
      target: 'item',
      signed: true,
      format: 'json',
      batchMax: 100,
      lingerMs: 1_000,
      failuresMax: 20,
    },
  },
  by: 'cli',
})
engine.attempt('subscription', 'pager', {
  type: 'subscription.park',
  data: { reason: 'status', failures: 20, status: 503 },
})
engine.attempt('subscription', 'pager', { type: 'subscription.resume', data: {}, by: 'cli' })
engine.attempt('subscription', 'pager', { type: 'subscription.delete', data: {}, by: 'cli' })

engine.attempt('replica', 'tiny:latest@gpu-1', { type: 'replica.unload', data: {} })
for (const node of ['gpu-1', 'gpu-2']) {
  engine.attempt('replica', `tiny:latest@${node}`, { type: 'replica.remove', data: {} })
}
engine.attempt('model', 'tiny:latest', { type: 'model.lose', data: {} })
engine.attempt('node', 'gpu-2', { type: 'node.drain', data: {}, by: 'cli' })
engine.attempt('node', 'gpu-2', { type: 'node.empty', data: {} })
engine.attempt('node', 'gpu-2', { type: 'node.resume', data: {}, by: 'cli' })
engine.attempt('node', 'gpu-2', { type: 'node.remove', data: {}, by: 'cli' })
await engine.settled()

console.log(JSON.stringify({ id: y.journal.id, head: y.journal.head, records: y.records }, null, 1))
process.exit()
