/** What a house asks of an agent to be done to models: each command once, whoever listens. */
import type { ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import { Commands, type CommandsNeeds } from '../../src/agent/commands.ts'
import type { Receiver } from '../../src/call.ts'
import { type Clock, systemClock, virtualClock } from '../../src/clock.ts'
import { Failure } from '../../src/failure.ts'
import { Ollama } from '../../src/ollama/ollama.ts'
import type { CommandProgress, CommandStep, ModelCommandRequest } from '../../src/rpc/messages.ts'
import { type SimOptions, startSim } from '../../src/sim/sim.ts'
import { type Odd, type OddHandler, odd } from '../gateway/odd.ts'

const always = new AbortController().signal
const pull = (id: string, model = 'llama3:8b'): ModelCommandRequest => ({
  id,
  pull: { model, insecure: false },
})
const load = (id: string, model: string): ModelCommandRequest => ({
  id,
  load: { model, keepAlive: '', options: '' },
})

async function told(progress: AsyncIterable<CommandProgress>): Promise<CommandProgress[]> {
  const all: CommandProgress[] = []
  for await (const word of progress) all.push(word)
  return all
}

const endOf = (all: readonly CommandProgress[]): object =>
  Object.fromEntries(Object.entries((all.at(-1) as { end: object }).end).filter(([key]) => key !== 'ms'))
const DONE = { outcome: 'OUTCOME_DONE', httpStatus: 0, reason: '' }
const failed = (httpStatus: number, reason: string): object => ({
  outcome: 'OUTCOME_FAILED',
  httpStatus,
  reason,
})
const codeOf = (run: () => unknown): string | undefined => {
  try {
    run()
    return undefined
  } catch (error) {
    return (error as Failure).code
  }
}

function agentAt(t: Test, url: string, needs: Partial<CommandsNeeds> = {}): Commands {
  const ollama = new Ollama(url, { linkLocal: false })
  const commands = new Commands({ clock: systemClock, ollama, ...needs })
  t.teardown(() => {
    commands.close()
    return ollama.close()
  })
  return commands
}

async function simulated(t: Test, options: Partial<SimOptions> = {}, needs: Partial<CommandsNeeds> = {}) {
  const sim = await startSim({ models: 'tiny:latest,embed:latest', loadMs: 0, ...options })
  t.teardown(() => sim.close())
  return { sim, commands: agentAt(t, sim.url, needs) }
}

/** An Ollama whose words a test says, at a clock of the test's own. */
function scripted(needs: Partial<CommandsNeeds> = {}) {
  const clock = virtualClock()
  const calls: { readonly path: string; readonly body: any; receiver: Receiver; aborted: boolean }[] = []
  const send = ({ path, body }: { path: string; body: unknown }, receiver: Receiver) => {
    const call = { path, body: JSON.parse(String(body)), receiver, aborted: false }
    calls.push(call)
    return {
      pause() {},
      resume() {},
      abort() {
        call.aborted = true
      },
    }
  }
  const ask = (_method: string, path: string, body: object, signal: AbortSignal) =>
    new Promise((resolve, reject) => {
      const none = (): void => {}
      const receiver = { start: none, data: none, end: () => resolve(Buffer.from('{}')), fail: reject }
      const call = send({ path, body: JSON.stringify(body) }, receiver)
      signal.addEventListener('abort', () => {
        call.abort()
        reject(new Failure('ollama.timeout', 'broken off'))
      })
    })
  const ollama = { send, ask } as unknown as Ollama
  const commands = new Commands({ clock, ollama, ...needs })
  const says = (i: number, ...lines: object[]): void => {
    for (const line of lines) calls[i]!.receiver.data(Buffer.from(`${JSON.stringify(line)}\n`))
  }
  return { clock, commands, calls, says }
}

/** Takes what is told at once, and keeps when. */
function listen(progress: AsyncIterable<CommandProgress>, clock: Clock) {
  const heard: { at: number; word: CommandProgress }[] = []
  const over = (async () => {
    for await (const word of progress) heard.push({ at: clock.monotonic(), word })
  })()
  over.catch(() => {})
  return { heard, over }
}

t.test('a pull is told step by step, and is done when the model is there', async t => {
  const changed: string[] = []
  const { sim, commands } = await simulated(
    t,
    { pullBytesPerSec: 8e9 },
    { changed: what => changed.push(what) },
  )
  const all = await told(commands.command(pull('a'), always))
  t.same(endOf(all), DONE)
  t.ok((all.at(-1) as { end: { ms: number } }).end.ms > 100)
  const steps = all.slice(0, -1).map(word => (word as { step: CommandStep }).step)
  const bytes = steps.flatMap(({ completedBytes }) => completedBytes ?? [])
  t.ok(bytes.length >= 2, `${bytes.length} readings`)
  t.same(
    bytes,
    [...bytes].sort((a, b) => a - b),
  )
  t.match(
    steps.find(({ digest }) => digest !== undefined),
    {
      status: /^pulling [0-9a-f]{12}$/,
      totalBytes: Number,
    },
  )
  t.equal(steps.at(-1)!.status, 'success')
  t.ok(sim.models().includes('llama3:8b'))
  t.same(changed, ['present'])
  t.equal(commands.running, 0)
})

t.test('every command does to Ollama what its name says', async t => {
  const { sim, commands } = await simulated(t, { pullBytesPerSec: 1e12 })
  const ends = async (request: ModelCommandRequest): Promise<object> =>
    endOf(await told(commands.command(request, always)))
  t.same(await ends({ id: '1', copy: { source: 'tiny', destination: 'mine/copy:v1' } }), DONE)
  t.ok(sim.models().includes('mine/copy:v1'))
  t.same(await ends({ id: '2', push: { model: 'mine/copy:v1', insecure: true } }), DONE)
  const recipe = JSON.stringify({
    from: 'tiny',
    system: 'Be brief.',
    MODEL: 'other',
    Stream: false,
    model: 'other',
  })
  t.same(await ends({ id: '3', create: { model: 'brief', recipe } }), DONE)
  t.ok(sim.models().includes('brief:latest'))
  t.notOk(sim.models().includes('other:latest'), 'a recipe cannot name another model')
  t.same(await ends({ id: '4', load: { model: 'TINY', keepAlive: '-1', options: '{"num_ctx":2048}' } }), DONE)
  t.match(sim.residents(), [{ model: { name: { model: 'tiny' } }, contextLength: 2048 }])
  t.same(await ends({ id: '5', unload: { model: 'tiny' } }), DONE)
  t.equal(sim.residents().length, 0)
  t.same(await ends(load('6', 'embed')), DONE)
  t.match(sim.residents(), [{ model: { name: { model: 'embed' } } }])
  t.same(await ends({ id: '7', unload: { model: 'embed' } }), DONE)
  t.equal(sim.residents().length, 0)
  t.same(await ends({ id: '8', delete: { model: 'brief' } }), DONE)
  t.notOk(sim.models().includes('brief:latest'))
})

t.test('what Ollama says no to has failed with its status and in its words', async t => {
  const { commands } = await simulated(t)
  const ends = async (request: ModelCommandRequest): Promise<object> =>
    endOf(await told(commands.command(request, always)))
  t.same(await ends(pull('1', 'absent')), failed(500, 'pull model manifest: file does not exist'))
  t.same(
    await ends({ id: '2', delete: { model: 'nothing' } }),
    failed(404, "model 'nothing:latest' not found"),
  )
  t.same(
    await ends({ id: '3', copy: { source: 'nothing', destination: 'b' } }),
    failed(404, 'model "nothing:latest" not found'),
  )
  t.same(await ends(load('4', 'nothing')), failed(404, "model 'nothing:latest' not found"))
  t.same(
    await ends({ id: '5', load: { model: 'tiny', keepAlive: '5q', options: '' } }),
    failed(400, 'time: unknown unit "q" in duration "5q"'),
  )
  t.match(
    await ends({ id: '6', create: { model: 'x', recipe: '' } }),
    failed(400, /neither 'from' or 'files'/ as never),
  )
})

t.test('the same id joins the command under way, and is told how it ended', async t => {
  const { commands, calls, says, clock } = scripted()
  const first = listen(commands.command(pull('a'), always), clock)
  await clock.advance(0)
  calls[0]!.receiver.start(200, [])
  says(0, { status: 'pulling manifest' }, { status: 'pulling 0123', total: 10, completed: 4 })
  await clock.advance(1_000)
  const late = listen(commands.command(pull('a'), always), clock)
  await clock.advance(0)
  t.match(late.heard, [{ at: 1_000, word: { step: { completedBytes: 4 } } }], 'at once how far it is')
  says(0, { status: 'success' })
  calls[0]!.receiver.end()
  await Promise.all([first.over, late.over])
  t.same(late.heard.at(-1)!.word, first.heard.at(-1)!.word)
  const after = await told(commands.command(pull('a'), always))
  t.match(after, [{ end: { outcome: 'OUTCOME_DONE', ms: 1_000 } }])
  t.equal(calls.length, 1, 'it was pulled once')
  t.equal(
    codeOf(() => commands.command(pull('a', 'other'), always)),
    'agent.known',
  )
  await clock.advance(3_599_000)
  t.match(await told(commands.command(pull('a'), always)), [{ end: {} }])
  await clock.advance(2_000)
  listen(commands.command(pull('a'), always), clock)
  await clock.advance(0)
  t.equal(calls.length, 2, 'an hour later it is a new one')
  t.equal(
    codeOf(() => commands.command(pull('a', 'other'), always)),
    'agent.known',
  )
})

t.test('a command goes on when nobody listens', async t => {
  const { commands, sim } = await simulated(t, { pullBytesPerSec: 10e9 })
  const gone = new AbortController()
  for await (const _ of commands.command(pull('a'), gone.signal)) gone.abort()
  t.equal(commands.running, 1)
  t.notOk(sim.models().includes('llama3:8b'))
  t.same(endOf(await told(commands.command(pull('a'), always))), DONE)
  t.equal(sim.counters.requests['POST /api/pull'], 1)
})

t.test('a command that is cancelled is broken off at Ollama', async t => {
  const { commands, sim } = await simulated(t, { pullBytesPerSec: 1e6 })
  const all = told(commands.command(pull('a'), always))
  for await (const word of commands.command(pull('a'), always)) {
    if ('step' in word && word.step.completedBytes !== undefined) t.equal(commands.cancel('a'), true)
  }
  t.same(endOf(await all), { outcome: 'OUTCOME_CANCELLED', httpStatus: 0, reason: '' })
  t.match(await told(commands.command(pull('a'), always)), [{ end: { outcome: 'OUTCOME_CANCELLED' } }])
  t.equal(commands.cancel('a'), false, 'it is over')
  t.equal(commands.cancel('b'), false)
  t.equal(commands.running, 0)
  t.notOk(sim.models().includes('llama3:8b'))
})

t.test('a watcher hears ten steps a second at most, the last one, and the end', async t => {
  const { commands, calls, says, clock } = scripted()
  const watcher = listen(commands.command(pull('a'), always), clock)
  await clock.advance(0)
  calls[0]!.receiver.start(200, [])
  for (let i = 1; i <= 1_000; i += 1) {
    says(0, { status: 'pulling 0123', total: 1_000, completed: i })
    await clock.advance(5)
  }
  says(0, { status: 'success' })
  calls[0]!.receiver.end()
  await watcher.over
  const steps = watcher.heard.slice(0, -1)
  t.ok(steps.length >= 45 && steps.length <= 52, `${steps.length} steps in 5 s`)
  for (const [i, { at }] of steps.slice(1, -1).entries()) t.ok(at - steps[i]!.at >= 99.999)
  t.same(steps.at(-1)!.word, { step: { status: 'success' } })
  t.match(watcher.heard.at(-1)!.word, { end: DONE })
})

t.test('the last step before a silence is told, too', async t => {
  const { commands, calls, says, clock } = scripted()
  const watcher = listen(commands.command(pull('a'), always), clock)
  await clock.advance(0)
  calls[0]!.receiver.start(200, [])
  says(0, { status: 'one' })
  await clock.advance(1)
  says(0, { status: 'two' }, { status: 'three' })
  await clock.advance(98)
  t.equal(watcher.heard.length, 1)
  await clock.advance(2)
  t.match(watcher.heard.at(-1), { at: 100, word: { step: { status: 'three' } } })
  t.equal(watcher.heard.length, 2)
})

t.test('a watcher that reads slowly misses steps, never the end', async t => {
  const { commands, calls, says, clock } = scripted()
  const slow = commands.command(pull('a'), always)[Symbol.asyncIterator]()
  const first = slow.next()
  await clock.advance(0)
  calls[0]!.receiver.start(200, [])
  for (let i = 0; i < 5_000; i += 1) says(0, { status: `step ${i}` })
  t.match(await first, { value: { step: { status: 'step 4999' } } }, 'those before it came in one turn')
  for (let i = 0; i < 5_000; i += 1) says(0, { status: `more ${i}` })
  says(0, { status: 'success' })
  calls[0]!.receiver.end()
  await clock.advance(10_000)
  t.match(await slow.next(), { value: { step: { status: 'success' } } })
  t.match(await slow.next(), { value: { end: DONE } })
  t.same(await slow.next(), { done: true, value: undefined })
})

t.test('where nothing moves, a command has failed, though Ollama goes on talking', async t => {
  const { commands, calls, says, clock } = scripted({ stallMs: 60_000 })
  const watcher = listen(commands.command(pull('a'), always), clock)
  await clock.advance(0)
  calls[0]!.receiver.start(200, [])
  for (let i = 1; i <= 10; i += 1) {
    says(0, { status: 'pulling 0123', total: 1_000, completed: i })
    await clock.advance(50_000)
  }
  for (let i = 0; i < 9; i += 1) {
    says(0, { status: 'pulling 0123', total: 1_000, completed: 10 })
    await clock.advance(1_000)
  }
  t.equal(calls[0]!.aborted, false)
  await clock.advance(2_000)
  await watcher.over
  t.equal(calls[0]!.aborted, true)
  t.match(watcher.heard.at(-1)!.word, { end: failed(502, 'nothing moved for 60 s') })
})

t.test(
  'only so many are carried out at once, and only so many wait; short ones do not wait for transfers',
  async t => {
    const { commands, calls, says, clock } = scripted({ waitingMax: 3, atOnce: { transfer: 2, short: 1 } })
    const heard = ['a', 'b', 'c', 'd', 'e'].map(id =>
      listen(commands.command(pull(id, `m:${id}`), always), clock),
    )
    await clock.advance(0)
    t.same(
      calls.map(({ body }) => body.model),
      ['m:a', 'm:b'],
    )
    t.match(heard[2]!.heard, [{ word: { step: { status: 'waiting' } } }])
    t.equal(
      codeOf(() => commands.command(pull('f', 'm:f'), always)),
      'agent.busy',
    )
    t.equal(
      codeOf(() => commands.command(pull('a', 'm:a'), always)),
      undefined,
      'to join is not to wait',
    )
    t.equal(commands.cancel('c'), true)
    await heard[2]!.over
    t.match(heard[2]!.heard.at(-1)!.word, { end: { outcome: 'OUTCOME_CANCELLED', ms: 0 } })
    listen(commands.command(pull('f', 'm:f'), always), clock)
    calls[1]!.receiver.start(200, [])
    says(1, { status: 'success' })
    calls[1]!.receiver.end()
    await clock.advance(0)
    t.same(
      calls.map(({ body }) => body.model),
      ['m:a', 'm:b', 'm:d'],
    )
    t.equal(commands.running, 2)
  },
)

t.test('of those that ended only so many are remembered', async t => {
  const { commands, calls, clock } = scripted({ endedMax: 3 })
  for (const id of ['a', 'b', 'c', 'd']) {
    const one = listen(commands.command(pull(id), always), clock)
    await clock.advance(0)
    calls.at(-1)!.receiver.fail(new Failure('ollama.broken', 'gone'))
    await one.over
    t.match(one.heard.at(-1)!.word, { end: failed(502, 'gone') })
  }
  t.match(await told(commands.command(pull('b'), always)), [{ end: {} }])
  t.equal(calls.length, 4)
  listen(commands.command(pull('a'), always), clock)
  await clock.advance(0)
  t.equal(calls.length, 5, 'the first was forgotten')
})

t.test('nothing is asked of Ollama that is not a command about a model', async t => {
  const { commands, calls } = scripted()
  const digest = `sha256:${'0'.repeat(64)}`
  const create = (recipe: string): object => ({ create: { model: 'x', recipe } })
  const bad: readonly [why: string, command: object][] = [
    ['no name', pull('x', '')],
    ['a path', pull('x', '../../etc/passwd')],
    ['four parts', pull('x', 'a/b/c/d')],
    ['a query', pull('x', 'a?b=c')],
    ['a name without end', pull('x', 'a'.repeat(100_000))],
    ['no command', {}],
    ['two commands', { delete: { model: 'a' }, unload: { model: 'a' } }],
    ['one that there is not', { exec: { model: 'a' } }],
    ['a cloud model', load('x', 'gpt-oss:20b-cloud')],
    ['a destination that is none', { copy: { source: 'a', destination: 'b c' } }],
    ['a recipe that is no JSON', create('{')],
    ['a recipe that is no object', create('[]')],
    ['a recipe without end', create(JSON.stringify({ system: 'x'.repeat(2_000_000) }))],
    ['a digest with a path', create(JSON.stringify({ files: { 'a.gguf': 'sha256:../../etc/passwd' } }))],
    ['a digest by another case', create(JSON.stringify({ Adapters: { a: 'sha256-x' } }))],
    ['digests that are none', create(JSON.stringify({ files: [digest, 5] }))],
    ['options that are no JSON', { load: { model: 'a', keepAlive: '', options: 'x' } }],
    ['a keep_alive with a quote', { load: { model: 'a', keepAlive: '5"m', options: '' } }],
  ]
  for (const [why, command] of bad) {
    const request = { ...command, id: 'x' } as ModelCommandRequest
    t.equal(
      codeOf(() => commands.command(request, always)),
      'agent.order',
      why,
    )
  }
  for (const id of ['', 'a b', 'x'.repeat(129)]) {
    t.equal(
      codeOf(() => commands.command(pull(id), always)),
      'agent.order',
    )
  }
  t.equal(calls.length, 0)
  t.equal(
    codeOf(() =>
      commands.command(
        { ...create(JSON.stringify({ files: { 'a.gguf': digest } })), id: 'x' } as never,
        always,
      ),
    ),
    undefined,
  )
})

t.test('names go to Ollama as it would write them', async t => {
  const { commands, calls } = scripted({ atOnce: { transfer: 9, short: 9 } })
  for (const [i, name] of ['Llama3', 'https://hf.co/Some/Repo-GGUF:Q4_K_M', 'me/x'].entries())
    commands.command(pull(String(i), name), always)
  t.same(
    calls.map(({ body }) => body),
    ['Llama3:latest', 'hf.co/Some/Repo-GGUF:Q4_K_M', 'me/x:latest'].map(model => ({
      insecure: false,
      model,
      stream: true,
    })),
  )
})

t.test('an agent that ends breaks off what takes long, and ends no command by that', async t => {
  const { commands, calls, clock } = scripted({ atOnce: { transfer: 1, short: 1 } })
  const begin = (request: ModelCommandRequest) => listen(commands.command(request, always), clock)
  const [under, waiting, short] = [begin(pull('a')), begin(pull('b')), begin(load('c', 'tiny'))]
  await clock.advance(0)
  commands.letGo()
  for (const { over } of [under, waiting]) await t.rejects(over, { code: 'agent.closing', retryable: true })
  t.equal(
    codeOf(() => commands.command(pull('d'), always)),
    'agent.closing',
  )
  t.same(
    calls.map(({ path, aborted }) => [path, aborted]),
    [
      ['/api/pull', true],
      ['/api/show', false],
    ],
    'what is over soon goes on',
  )
  calls[1]!.receiver.fail(new Failure('ollama.broken', 'gone'))
  await short.over
  t.match(short.heard.at(-1)!.word, { end: failed(502, 'gone') })
})

t.test('an agent that is gone has broken off everything', async t => {
  const { commands, calls, clock } = scripted()
  const both = [pull('a'), load('b', 'tiny')].map(request => listen(commands.command(request, always), clock))
  await clock.advance(0)
  commands.close()
  for (const { over } of both) await t.rejects(over, { code: 'agent.closing', retryable: true })
  t.same(
    calls.map(({ aborted }) => aborted),
    [true, true],
  )
  await clock.advance(0)
  t.equal(commands.running, 0)
})

t.test('an Ollama that is odd fails a command with a reason', async t => {
  const lines =
    (...texts: string[]): OddHandler =>
    (_req, res) => {
      res.writeHead(200, { 'Content-Type': 'application/x-ndjson' })
      for (const text of texts) res.write(text)
      res.end()
    }
  const cut = (res: ServerResponse): void => {
    setTimeout(() => res.destroy(), 20)
  }
  const status = '{"status":"pulling manifest"}\n'
  const cases: readonly [why: string, handle: OddHandler, end: object][] = [
    [
      'an error line',
      lines(status, '{"error":"max retries exceeded"}\n'),
      failed(500, 'max retries exceeded'),
    ],
    [
      'an address with a key in it',
      lines(status, '{"error":"Get \\"https://r2.example/blob?X-Amz-Signature=abc\\": EOF"}\n'),
      failed(500, 'Get "https://r2.example/blob?…": EOF'),
    ],
    ['an error without a newline', lines(status, '{"error":"no room"}'), failed(500, 'no room')],
    ['success after an error', lines('{"error":"no"}\n', '{"status":"success"}\n'), failed(500, 'no')],
    ['an end before its end', lines(status), failed(502, 'Ollama ended its answer early')],
    ['no answer', lines(), failed(502, 'Ollama ended its answer early')],
    ['a page', lines('<html>\n'), failed(502, 'Ollama answered with something that is not its progress')],
    ['other JSON', lines('[1]\n'), failed(502, 'Ollama answered with something that is not its progress')],
    [
      'a line without end',
      lines('x'.repeat(200_000)),
      failed(502, 'Ollama answered with a line without end'),
    ],
    [
      'an error before the stream',
      (_req, res) => res.writeHead(503).end('{"error":"busy"}'),
      failed(503, 'busy'),
    ],
    ['a status alone', (_req, res) => res.writeHead(500).end('oops'), failed(500, '/api/pull answered 500')],
    [
      'a cut in mid-stream',
      (_req, res) => {
        res.writeHead(200).write(status)
        cut(res)
      },
      failed(502, 'other side closed'),
    ],
    ['success', lines(status, '\n', '{"sta', 'tus":"success"}'), DONE],
  ]
  for (const [why, handle, end] of cases) {
    const node = await odd(t, handle)
    t.same(endOf(await told(agentAt(t, node.url).command(pull('a'), always))), end, why)
  }
})

t.test('what Ollama says of a step is taken for what it is, or left out', async t => {
  const digest = `sha256:${'a'.repeat(64)}`
  const node = await odd(t, (_req, res) => {
    const line = (held: object): boolean => res.write(`${JSON.stringify(held)}\n`)
    line({ status: 'x'.repeat(5_000), digest: 'sha256:../..', total: '9', completed: -1 })
    setTimeout(() => {
      line({ status: 'pulling', digest, total: 2 ** 53, completed: 1.5 })
      setTimeout(() => res.end('{"status":"success"}\n'), 150)
    }, 150)
  })
  t.match(await told(agentAt(t, node.url).command(pull('a'), always)), [
    {
      step: {
        status: 'x'.repeat(1_024),
        digest: undefined,
        totalBytes: undefined,
        completedBytes: undefined,
      },
    },
    { step: { status: 'pulling', digest, totalBytes: undefined, completedBytes: undefined } },
    { step: { status: 'success' } },
    { end: DONE },
  ])
})

t.test(
  'an Ollama that dies in the middle fails the pull; the next one goes on from what is there',
  async t => {
    const { commands, sim } = await simulated(t, { pullBytesPerSec: 4e9 })
    let bytes = 0
    const all: CommandProgress[] = []
    for await (const word of commands.command(pull('a'), always)) {
      all.push(word)
      if (!('step' in word) || bytes > 0 || (word.step.completedBytes ?? 0) < 1e9) continue
      bytes = word.step.completedBytes!
      await sim.down()
    }
    t.match(endOf(all), { outcome: 'OUTCOME_FAILED', httpStatus: 502 })
    t.match(endOf(await told(commands.command(pull('b'), always))), {
      outcome: 'OUTCOME_FAILED',
      httpStatus: 502,
    })
    await sim.up()
    const again = await told(commands.command(pull('c'), always))
    t.same(endOf(again), DONE)
    const first = again.find(word => 'step' in word && word.step.completedBytes !== undefined)
    t.ok((first as { step: CommandStep }).step.completedBytes! >= bytes, 'what was there is kept')
  },
)

t.test('an agent that was killed in the middle of a pull goes on with the same id', async t => {
  const { commands, sim } = await simulated(t, { pullBytesPerSec: 4e9 })
  let bytes = 0
  const broken = (async () => {
    for await (const word of commands.command(pull('a'), always)) {
      if (!('step' in word) || (word.step.completedBytes ?? 0) < 1e9) continue
      bytes = word.step.completedBytes!
      commands.close()
    }
  })()
  await t.rejects(broken, { code: 'agent.closing' })
  const again = await told(agentAt(t, sim.url).command(pull('a'), always))
  t.same(endOf(again), DONE)
  const first = again.find(word => 'step' in word && word.step.completedBytes !== undefined)
  t.ok((first as { step: CommandStep }).step.completedBytes! >= bytes)
})

t.test('an Ollama that never answers is given up', async t => {
  const held: Odd['asked'] = []
  const node = await odd(t, () => {})
  const commands = agentAt(t, node.url, { stallMs: 200 })
  for (const request of [pull('a'), load('b', 'tiny'), { id: 'c', delete: { model: 'tiny' } }]) {
    t.match(endOf(await told(commands.command(request, always))), failed(502, 'nothing moved for 0 s'))
  }
  t.same(held, [])
  t.equal(commands.running, 0)
})

t.test('whatever happens, every command has one end, and all who listen hear the same', async t => {
  for (let seed = 1; seed <= 40; seed += 1) {
    const limits = { atOnce: { transfer: 2, short: 1 }, waitingMax: 4, stallMs: 20_000 }
    const { clock, commands, calls, says } = scripted(limits)
    const { random } = virtualClock({ seed })
    const pick = (below: number): number => Math.floor(random() * below)
    const heard: { id: string; listener: ReturnType<typeof listen>; left: AbortController }[] = []
    const answered = new Set<number>()
    const answer = (end: (receiver: Receiver) => void): void => {
      const i = pick(calls.length)
      if (calls.length === 0 || answered.has(i) || calls[i]!.aborted) return
      answered.add(i)
      end(calls[i]!.receiver)
    }
    const events: readonly (() => unknown)[] = [
      () => {
        const id = `c${pick(30)}`
        const left = new AbortController()
        try {
          heard.push({
            id,
            left,
            listener: listen(commands.command(pull(id, `m:${id}`), left.signal), clock),
          })
        } catch (error) {
          t.equal((error as Failure).code, 'agent.busy', `seed ${seed}`)
        }
      },
      () => commands.cancel(`c${pick(30)}`),
      () => heard[pick(heard.length)]?.left.abort(),
      () => {
        const i = pick(calls.length)
        if (calls.length === 0 || answered.has(i) || calls[i]!.aborted) return
        calls[i]!.receiver.start(200, [])
        says(i, { status: `step ${pick(1e6)}` })
      },
      () => answer(receiver => receiver.fail(new Failure('ollama.broken', 'broken'))),
      () =>
        answer(receiver => {
          receiver.start(200, [])
          receiver.data(Buffer.from('{"status":"success"}\n'))
          receiver.end()
        }),
    ]
    for (let step = 0; step < 300; step += 1) {
      events[pick(events.length)]!()
      if (random() < 0.5) await clock.advance(pick(3_000))
      t.ok(commands.running <= 2, `seed ${seed}`)
    }
    await clock.advance(600_000) // what is under way stalls, and lets those behind it begin
    t.equal(commands.running, 0, `seed ${seed}`)
    const ends = new Map<string, object>()
    for (const { id, listener, left } of heard) {
      const last = listener.heard.at(-1)?.word
      const over = last !== undefined && 'end' in last
      t.ok(over || left.signal.aborted, `seed ${seed}: ${id} was told its end`)
      t.ok(
        listener.heard.slice(0, -1).every(({ word }) => 'step' in word),
        `seed ${seed}: and nothing after it`,
      )
      if (!over) continue
      if (!ends.has(id)) ends.set(id, last.end)
      t.same(last.end, ends.get(id), `seed ${seed}: ${id} has one end`)
    }
    const models = calls.map(({ body }) => body.model)
    t.equal(new Set(models).size, models.length, `seed ${seed}: each is carried out once`)
    t.ok(calls.length > 5, `seed ${seed}: ${calls.length} calls`)
    commands.close()
  }
})
