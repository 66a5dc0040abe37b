/** Who rides with whom, and what a shared call does, with a node that says what a test wants. */
import t from 'tap'
import type { Outgoing, Receiver, Upstream } from '../../../src/call.ts'
import { Failure } from '../../../src/failure.ts'
import { Batches, type Batching } from '../../../src/gateway/embedding/batches.ts'
import type { Open, RequestsProjection, Ride } from '../../../src/projections/requests.ts'

function station({ batch = 'on' as Batching, batchMax = 4, batchMaxBytes = 1_000 } = {}) {
  const open = new Map<string, Open>()
  const requests = { state: { open } } as unknown as RequestsProjection
  const batches = new Batches({ requests, config: { batch, batchMax, batchMaxBytes } })
  const sent: { input: unknown; receiver: Receiver; aborted: boolean }[] = []
  const heard = new Map<string, string>()
  const node: Upstream = {
    url: 'http://node',
    send({ body }: Outgoing, receiver) {
      const call = { input: JSON.parse(String(body)).input, receiver, aborted: false }
      sent.push(call)
      return {
        pause() {},
        resume() {},
        abort() {
          call.aborted = true
        },
      }
    },
  }
  const bodies = new Map<string, Buffer>()
  return {
    batches,
    sent,
    heard,
    asks: () => sent.map(({ input }) => input),
    wait(id: string, input: unknown, { priority = 5, model = 'm', kind = 'interactive' } = {}) {
      const body = Buffer.from(JSON.stringify({ model, input }))
      bodies.set(id, body)
      open.set(id, { id, state: 'queued', priority, class: kind } as Open)
      batches.join(id, { route: '/api/embed', target: '/api/embed', headers: {}, body })
    },
    /** They are assigned together, led by the first. */
    assign(...ids: readonly string[]) {
      const ride: Ride = { open: new Set(ids) }
      for (const id of ids) Object.assign(open.get(id)!, { state: 'running', ride })
    },
    run(id: string, batch?: string) {
      const out = { method: 'POST', path: '/api/embed', headers: {}, body: bodies.get(id)! }
      return batches.upstream(id, batch, node).send(out, {
        start: status => heard.set(id, `${status} `),
        data: chunk => heard.set(id, heard.get(id) + chunk.toString()),
        end: () => heard.set(id, `${heard.get(id)}.`),
        fail: ({ code }) => heard.set(id, code),
      })
    },
    answer(at: number, status: number, body: string) {
      const { receiver } = sent[at]!
      receiver.start(status, ['Content-Type', 'application/json'])
      receiver.data(Buffer.from(body))
      receiver.end()
    },
  }
}

const two = '{"model":"m","embeddings":[[1],[2]],"total_duration":1,"prompt_eval_count":7}'
const broken = new Failure('ollama.broken', 'the connection broke', { retryable: true })

t.test('those ride along that wait for the same model with the same urgency, oldest first', async t => {
  const s = station()
  s.wait('head', 'a')
  s.wait('urgent', 'b', { priority: 9 })
  s.wait('other', 'c', { model: 'n' })
  s.wait('patient', 'f', { kind: 'batch' })
  s.wait('tokens', [1, 2])
  s.wait('second', 'd')
  s.wait('third', 'e')
  t.same(s.batches.riders('head'), ['second', 'third'])
  t.same(s.batches.riders('third'), ['head', 'second'])
  t.same(s.batches.riders('urgent'), [])
  t.same(s.batches.riders('tokens'), [])
  t.same(s.batches.riders('nobody'), [])
  s.batches.leave('second')
  t.same(s.batches.riders('head'), ['third'])
  s.assign('third')
  t.same(s.batches.riders('head'), [])
})

t.test('a call has room for so many requests, texts and bytes', async t => {
  const s = station({ batchMax: 4, batchMaxBytes: 150 })
  s.wait('head', ['a', 'b'])
  s.wait('three', ['c', 'd', 'e'])
  s.wait('known', ['b', 'a'])
  s.wait('long', 'x'.repeat(110))
  s.wait('longer', 'y'.repeat(110))
  s.wait('last', 'z')
  t.same(s.batches.riders('head'), ['known', 'long', 'last'])
  const none = station({ batchMax: 1 })
  none.wait('head', 'a')
  none.wait('same', 'a')
  t.same(none.batches.riders('head'), [])
})

t.test('equal questions ride where different ones may not', async t => {
  const s = station({ batch: 'exact' })
  s.wait('head', 'a')
  s.wait('other', 'b')
  s.wait('same', 'a')
  t.same(s.batches.riders('head'), ['same'])
})

t.test('the call goes out when the last has come, or will not come', async t => {
  const s = station()
  for (const [id, input] of [
    ['1', 'a'],
    ['2', 'b'],
    ['3', 'c'],
  ] as const)
    s.wait(id, input)
  s.assign('1', '2', '3')
  s.run('2', '1')
  s.run('1', '1')
  t.equal(s.sent.length, 0)
  s.batches.leave('3')
  t.same(s.asks(), [['b', 'a']])
  s.answer(0, 200, two)
  t.same(
    [...s.heard],
    [
      ['2', '200 {"model":"m","embeddings":[[1]],"total_duration":1}.'],
      ['1', '200 {"model":"m","embeddings":[[2]],"total_duration":1}.'],
    ],
  )
})

t.test('who is left alone sends what it came with', async t => {
  const s = station()
  s.wait('1', 'a')
  s.wait('2', 'b')
  s.assign('1', '2')
  s.batches.leave('1')
  s.run('2', '1')
  t.same(s.asks(), ['b'])
  s.answer(0, 400, 'as it is')
  t.equal(s.heard.get('2'), '400 as it is.')
  const empty = station()
  empty.wait('1', 'a')
  empty.wait('2', 'b')
  empty.assign('1', '2')
  empty.run('1', '1').abort()
  empty.batches.leave('2')
  t.equal(empty.sent.length, 0)
})

t.test('what was sent once is not mixed with others again', async t => {
  const s = station()
  for (const [id, input] of [
    ['1', 'a'],
    ['2', 'b'],
    ['3', 'c'],
  ] as const)
    s.wait(id, input)
  s.assign('1')
  s.run('1')
  s.assign('2', '3')
  s.run('2', '2')
  s.run('3', '2')
  s.wait('4', 'd')
  t.same(s.batches.riders('4'), [])
  t.same(s.batches.riders('1'), [])
})

t.test('after a call that broke each is asked in turn; who has left by then is passed over', async t => {
  const s = station()
  for (const [id, input] of [
    ['1', 'a'],
    ['2', 'b'],
    ['3', 'c'],
  ] as const)
    s.wait(id, input)
  s.assign('1', '2', '3')
  const calls = ['1', '2', '3'].map(id => s.run(id, '1'))
  s.sent[0]!.receiver.fail(broken)
  t.same(s.asks(), [['a', 'b', 'c'], 'a'])
  calls[1]!.abort()
  s.sent[1]!.receiver.fail(broken)
  await new Promise(resolve => setImmediate(resolve))
  t.same(s.asks(), [['a', 'b', 'c'], 'a', 'c'])
  calls[2]!.abort()
  t.ok(s.sent[2]!.aborted)
  t.same([...s.heard], [['1', 'ollama.broken']])
})

t.test('a connection that was never made, and what is true of the model, is told to all', async t => {
  for (const [end, said] of [
    [
      (s: ReturnType<typeof station>) => s.sent[0]!.receiver.fail(new Failure('ollama.refused', 'no')),
      'ollama.refused',
    ],
    [(s: ReturnType<typeof station>) => s.answer(0, 503, 'busy'), '503 busy.'],
    [(s: ReturnType<typeof station>) => s.answer(0, 404, 'absent'), '404 absent.'],
  ] as const) {
    const s = station()
    s.wait('1', 'a')
    s.wait('2', 'b')
    s.assign('1', '2')
    s.run('1', '1')
    s.run('2', '1')
    end(s)
    t.same(
      [...s.heard],
      [
        ['1', said],
        ['2', said],
      ],
    )
    t.equal(s.sent.length, 1)
  }
})

t.test('an answer without end is not waited for', async t => {
  const s = station()
  s.wait('1', 'a')
  s.wait('2', 'b')
  s.assign('1', '2')
  s.run('1', '1')
  s.run('2', '1')
  const { receiver } = s.sent[0]!
  receiver.start(200, [])
  const chunk = Buffer.alloc(16 * 1024 * 1024)
  for (let i = 0; i < 5; i += 1) receiver.data(chunk)
  t.ok(s.sent[0]!.aborted)
  t.same(s.asks().slice(1), ['a'], 'each is asked alone')
})

t.test('the call is called off with the last who wants it', async t => {
  const s = station()
  s.wait('1', 'a')
  s.wait('2', 'b')
  s.assign('1', '2')
  const calls = [s.run('1', '1'), s.run('2', '1')]
  calls[0]!.abort()
  t.notOk(s.sent[0]!.aborted)
  calls[1]!.abort()
  t.ok(s.sent[0]!.aborted)
})
