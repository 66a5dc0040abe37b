import t from 'tap'
import { Failure } from '../../src/failure.ts'
import { Runs } from '../../src/gateway/run.ts'
import { yard } from '../scheduler/yard.ts'

const failure = (code: 'ollama.broken' | 'ollama.refused') => new Failure(code, 'x', { retryable: true })

t.test('once the retry budget is spent, a client hears of the first failure, and a job does not', async t => {
  const y = yard()
  await y.node('a', ['m'], { resident: ['m'] })
  const runs = new Runs({
    ...y,
    config: { slowMove: 'off' },
    upstream: () => ({}) as never,
    batches: { upstream: (_id, _batch, node) => node },
    decodeTps: () => undefined,
    elsewhere: () => false,
  })
  const fails = (id: string, code: Parameters<typeof failure>[0], job = false): 'retried' | 'failed' => {
    const data = {
      path: '/api/chat',
      model: 'm',
      client: 'c',
      priority: 5,
      bodyBytes: 1,
      expiresAt: y.clock.now() + 60_000,
      attemptsMax: 3,
      ...(job && ({ job: true } as const)),
    }
    y.engine.commit('request', id, { type: 'request.admit', data })
    y.engine.commit('request', id, { type: 'request.assign', data: { node: 'a', candidates: [] } })
    return runs.fails(id, failure(code))
  }
  // Ten a minute, and one for every ten that are admitted.
  for (let i = 0; i < 11; i += 1) t.equal(fails(`${i}`, 'ollama.broken'), 'retried', `${i}`)
  t.equal(fails('late', 'ollama.broken'), 'failed')
  t.equal(fails('free', 'ollama.refused'), 'retried', 'no node did anything for it')
  t.equal(fails('job', 'ollama.broken', true), 'retried')
  await y.clock.advance(61_000)
  t.equal(fails('a minute later', 'ollama.broken'), 'retried')
})

t.test(
  'a node that was removed while the decision went to the disk is one that takes no connections',
  async t => {
    const y = yard()
    const runs = new Runs({
      ...y,
      config: { slowMove: 'off' },
      upstream: url => {
        throw new TypeError(`Invalid URL ${url}`)
      },
      batches: { upstream: (_id, _batch, node) => node },
      decodeTps: () => undefined,
      elsewhere: () => false,
    })
    const ending = await runs.run({
      id: 'r',
      model: 'm',
      route: '/api/chat',
      node: 'gone',
      url: '',
      out: { method: 'POST', path: '/api/chat', headers: {}, body: null },
      sink: {} as never,
      headers: {},
      onCut: () => {},
    })
    t.match(ending, { as: 'unreached', failure: { code: 'ollama.refused', retryable: true } })
  },
)
