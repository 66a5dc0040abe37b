import t from 'tap'
import type { Call, Outgoing, Receiver } from '../../src/call.ts'
import { type VirtualClock, virtualClock } from '../../src/clock.ts'
import { Failure } from '../../src/failure.ts'
import { type AgentLine, isRoad, Puller, SILENT_WORK_MS, STALL_MS } from '../../src/registry/puller.ts'
import type { CommandProgress, CommandStep } from '../../src/rpc/messages.ts'

const BLOB = `sha256:${'a'.repeat(64)}`

const order = { command: 'c1', model: 'tiny:latest', node: 'n1', url: 'http://n1:11434' }

/** A node whose answer is written by the test, and a puller in front of it. */
function stage(line?: AgentLine) {
  const clock: VirtualClock = virtualClock()
  const asked: Outgoing[] = []
  let receiver: Receiver | undefined
  let aborted = 0
  const upstream = () => ({
    send(out: Outgoing, to: Receiver): Call {
      asked.push(out)
      receiver = to
      const abort = (): void => {
        aborted += 1
      }
      return { pause() {}, resume() {}, abort }
    },
  })
  const puller = new Puller({ clock, upstream, line: () => line })
  const steps: CommandStep[] = []
  const stop = new AbortController()
  return {
    clock,
    asked,
    steps,
    stop,
    puller,
    aborted: () => aborted,
    node: () => receiver!,
    says: (...lines: readonly (object | string)[]) => {
      for (const line of lines)
        receiver!.data(Buffer.from(typeof line === 'string' ? line : `${JSON.stringify(line)}\n`))
    },
    pull: (to = order) => puller.pull(to, { step: step => void steps.push(step), signal: stop.signal }),
  }
}

const failureOf = async (promise: Promise<unknown>): Promise<Failure> =>
  promise.then(
    () => {
      throw new Error('it went well')
    },
    error => {
      if (error instanceof Failure) return error
      throw error
    },
  )

t.test('without an agent, Ollama is asked, and its lines are told in our words', async t => {
  const s = stage()
  const pulled = s.pull()
  t.match(s.asked, [{ method: 'POST', path: '/api/pull' }])
  t.same(JSON.parse(String(s.asked[0]!.body)), { model: 'tiny:latest', stream: true })
  s.node().start(200, [])
  s.says({ status: 'pulling manifest' }, { status: 'pulling ab', digest: BLOB, total: 9 })
  s.says(`{"status":"pulling ab","digest":"${BLOB}","tot`, 'al":9,"completed":4}\n{"status":"success"}')
  s.node().end()
  t.equal(await pulled, 'done')
  t.same(s.steps, [
    { status: 'pulling manifest' },
    { status: 'pulling ab', digest: BLOB, totalBytes: 9 },
    { status: 'pulling ab', digest: BLOB, totalBytes: 9, completedBytes: 4 },
    { status: 'success' },
  ])
})

t.test('what a node says is believed only in its own type', async t => {
  const s = stage()
  const pulled = failureOf(s.pull())
  s.node().start(200, [])
  s.says({ status: 'pulling ab', digest: 7, total: 'many', completed: -1 }, 'no JSON\n')
  t.match(await pulled, {
    code: 'transfer.failed',
    message: 'Ollama answered with something that is not its progress',
  })
  t.same(s.steps, [{ status: 'pulling ab' }])
  t.equal(s.aborted(), 1)
})

for (const [words, status, trouble, retryable] of [
  ['pull model manifest: file does not exist', 200, 'unknown', false],
  ['invalid model name', 400, 'unknown', false],
  ['write /root/.ollama/models/blobs/sha256-ab-partial: no space left on device', 200, 'full', false],
  ['pull model manifest: 412: The model requires a newer version of Ollama', 200, 'upstream', false],
  ['pull model manifest: 401: unauthorized', 200, 'upstream', false],
  ['pull model manifest: 500: oh', 200, 'upstream', true],
  ['max retries exceeded: Get "https://…": dial tcp: i/o timeout', 200, 'upstream', true],
  ['digest mismatch, file must be downloaded again: want sha256:ab, got sha256:cd', 200, 'digest', true],
  ['open /models/manifests: permission denied', 500, 'answer', false],
  ['slow down', 429, 'answer', true],
  ['what is this?', 400, 'answer', false],
] as const) {
  t.test(`"${words}" ${retryable ? 'may pass' : 'does not pass by itself'}`, async t => {
    const s = stage()
    const pulled = failureOf(s.pull())
    s.node().start(status, [])
    if (status === 200) s.says({ status: 'pulling manifest' })
    s.says(JSON.stringify({ error: words }))
    s.node().end()
    t.match(await pulled, { code: 'transfer.failed', message: words, trouble, retryable })
  })
}

t.test('an answer that ends without success, and a connection that breaks, are the road’s fault', async t => {
  for (const end of ['end', 'fail'] as const) {
    const s = stage()
    const pulled = failureOf(s.pull())
    s.node().start(200, [])
    s.says({ status: 'pulling manifest' })
    if (end === 'end') s.node().end()
    else s.node().fail(new Failure('ollama.broken', 'reset', { retryable: true }))
    t.match(await pulled, { code: 'ollama.broken', retryable: true })
  }
})

t.test(
  'a pull that stands still for five minutes is broken off; one that verifies may be silent',
  async t => {
    const s = stage()
    const pulled = failureOf(s.pull())
    s.node().start(200, [])
    s.says({ status: 'verifying sha256 digest' })
    await s.clock.advance(STALL_MS * 2)
    t.equal(s.aborted(), 0)
    const line = { status: 'pulling ab', digest: BLOB, total: 9, completed: 4 }
    s.says(line)
    for (let i = 0; i < 10; i += 1) {
      await s.clock.advance(STALL_MS / 10)
      if (i < 9) s.says(line) // the same again is no progress
    }
    t.match(await pulled, { trouble: 'stalled', retryable: true })
    t.equal(s.aborted(), 1)
    t.ok(SILENT_WORK_MS > STALL_MS)
  },
)

t.test('whoever leaves breaks the connection, and that is no failure', async t => {
  const s = stage()
  const pulled = s.pull()
  s.stop.abort()
  t.equal(await pulled, 'left')
  t.equal(s.aborted(), 1)
  t.equal(await s.pull(), 'left', 'nor is it begun')
  t.equal(s.asked.length, 1)
})

/** An agent that says what it is told to, and remembers what it was asked. */
function agent(told: readonly CommandProgress[], { hangs = false } = {}) {
  const asked: unknown[] = []
  const line: AgentLine = {
    async *command(request, signal) {
      asked.push(request)
      yield* told
      if (!hangs) return
      await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve()))
      throw new Failure('agent.broken', 'called off')
    },
    cancel: async id => asked.push({ cancel: id }) > 0,
  }
  return { line, asked }
}

const end = (outcome: string, httpStatus = 0, reason = ''): CommandProgress =>
  ({ end: { outcome, httpStatus, reason, ms: 1 } }) as CommandProgress

t.test('with an agent, it is told the id of the journal, and Ollama is not asked', async t => {
  const { line, asked } = agent([{ step: { status: 'pulling manifest' } }, end('OUTCOME_DONE')])
  const s = stage(line)
  t.equal(await s.pull({ ...order, url: 'agent://n1' }), 'done')
  t.same(asked, [{ id: 'c1', pull: { model: 'tiny:latest', insecure: false } }])
  t.same(s.steps, [{ status: 'pulling manifest' }])
  t.equal(s.asked.length, 0)
})

t.test('an agent’s end in failure has the words of its Ollama', async t => {
  const words = 'pull model manifest: file does not exist'
  const failed = stage(agent([end('OUTCOME_FAILED', 200, words)]).line)
  t.match(await failureOf(failed.pull()), { message: words, retryable: false })
  const broken = stage(agent([]).line)
  t.match(await failureOf(broken.pull()), { code: 'agent.broken', retryable: true })
})

t.test('whoever leaves leaves an agent at work; a stall stops it there, too', async t => {
  const left = agent([], { hangs: true })
  const s = stage(left.line)
  const pulled = s.pull()
  await s.clock.advance(1)
  s.stop.abort()
  t.equal(await pulled, 'left')
  t.same(left.asked.slice(1), [], 'not cancelled')

  const stalls = agent([{ step: { status: 'pulling manifest' } }], { hangs: true })
  const other = stage(stalls.line)
  const stalled = failureOf(other.pull())
  await other.clock.advance(STALL_MS + 1)
  t.match(await stalled, { trouble: 'stalled' })
  t.same(stalls.asked.slice(1), [{ cancel: 'c1' }])
})

t.test('to stand in an agent’s line is no stall', async t => {
  const waits = agent([{ step: { status: 'waiting' } }], { hangs: true })
  const s = stage(waits.line)
  const pulled = s.pull()
  await s.clock.advance(STALL_MS * 20)
  t.same(waits.asked.slice(1), [])
  s.stop.abort()
  t.equal(await pulled, 'left')
})

t.test('an agent that ends is asked again, as one that is away', async t => {
  for (const code of ['agent.closing', 'agent.away', 'agent.broken'])
    t.ok(isRoad(new Failure(code, 'x', { retryable: true })), code)
  t.notOk(isRoad(new Failure('agent.busy', 'x', { retryable: true })))
})

t.test('a node that is reached by its agent only cannot be asked while that is away', async t => {
  const s = stage()
  t.match(await failureOf(s.pull({ ...order, url: 'agent://n1' })), { code: 'agent.away', retryable: true })
  t.equal(s.asked.length, 0)
})
