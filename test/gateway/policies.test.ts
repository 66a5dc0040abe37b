/** The doors to policies: what goes in, what comes out, and what is said of it. */
import t from 'tap'
import { type Doors, openDoors } from './doors.ts'

const put = ({ app }: Doors, model: string, payload: object) =>
  app.inject({ method: 'PUT', url: `/quipu/policies/${model}`, payload })
const clear = ({ app }: Doors, model: string) =>
  app.inject({ method: 'DELETE', url: `/quipu/policies/${model}` })

t.test('a policy is set, read, replaced and cleared, and the journal says who did it', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.put('tiny:latest', 'a')
  const setAt = house.clock.now()
  const first = {
    model: 'tiny:latest',
    prefer: ['a'],
    keepAliveS: 5_400,
    setAt,
    by: '127.0.0.1',
    warnings: [],
  }
  const set = await put(house, 'Tiny', { prefer: ['a'], keepAliveS: '1h30m' })
  t.same([set.statusCode, set.json()], [200, first])
  t.same((await house.get('/quipu/policies/tiny')).json(), first)
  t.same((await house.get('/quipu/policies')).json(), [first])

  await house.clock.advance(1_000)
  t.match((await put(house, 'tiny:latest', { keepAliveS: -5 })).json(), {
    keepAliveS: -1,
    setAt: setAt + 1_000,
  })
  t.notOk('prefer' in (await house.get('/quipu/policies/tiny')).json(), 'the new one counts alone')
  await house.clock.advance(1_000)
  t.match((await put(house, 'tiny', { keepAliveS: -1 })).json(), { setAt: setAt + 1_000 }, 'twice is once')

  const gone = await clear(house, 'tiny')
  t.same([gone.statusCode, gone.json()], [200, { model: 'tiny:latest', cleared: true }])
  for (const answer of [await clear(house, 'tiny'), await house.get('/quipu/policies/tiny')])
    t.match(answer.json(), { error: /there is no policy for tiny:latest/, code: 'policy.unknown' })
  t.equal((await clear(house, 'tiny')).statusCode, 404)
  t.match(
    house.journal.recent(0)!.filter(({ kind }) => kind === 'policy'),
    [
      { type: 'policy.set', id: 'tiny:latest', by: '127.0.0.1', data: { prefer: ['a'], keepAliveS: 5_400 } },
      { type: 'policy.set', data: { keepAliveS: -1 } },
      { type: 'policy.cleared', by: '127.0.0.1' },
    ],
  )
})

t.test('models are named as clients name them, a slash as %2F', async t => {
  const house = await openDoors(t)
  for (const [written, model] of [
    ['hf.co%2FNS%2Fm:Q4', 'hf.co/ns/m:q4'],
    ['tiny:local', 'tiny:latest'],
    ['registry.ollama.ai%2Flibrary%2Ftiny', 'tiny:latest'],
  ] as const) {
    t.equal((await put(house, written, { numCtx: 4_096 })).json().model, model)
    t.equal((await house.get(`/quipu/policies/${encodeURIComponent(model)}`)).statusCode, 200)
  }
  for (const written of ['a b', '-x', 'a%2Fb%2Fc%2Fd'])
    t.match((await put(house, written, { numCtx: 4_096 })).json(), {
      code: 'request.invalid',
      error: /is no name of a model/,
    })
})

t.test('what makes no sense is refused, and what would be right is said', async t => {
  const house = await openDoors(t)
  for (const [body, code, said] of [
    [{}, 'policy.empty', /at least one thing/],
    [{ numCtx: 8_192, numCtxMax: 9_000 }, 'policy.contradicts', /numCtxMax says nothing/],
    [{ keepAliveS: 1, keepAliveMaxS: '5m' }, 'policy.contradicts', /keepAliveMaxS says nothing/],
    [{ nodes: ['a'], avoid: ['b', 'a'] }, 'policy.contradicts', /both name a/],
    [{ replicasMin: 3, replicasMax: 2 }, 'policy.contradicts', /at least 3 copies and at most 2 cannot/],
    [{ replicasMin: 2, nodes: ['a'] }, 'policy.contradicts', /a node holds one copy/],
    [{ replicasMax: 0 }, 'request.invalid', /replicasMax must be >= 1/],
    [{ replicasMin: -1 }, 'request.invalid', /replicasMin must be >= 0/],
    [{ replicasMin: 1.5 }, 'request.invalid', /replicasMin must be integer/],
    [{ num_ctx: 8_192 }, 'request.invalid', /unknown property "num_ctx"; known are nodes, avoid, prefer/],
    [{ numCtx: 255 }, 'request.invalid', /numCtx must be >= 256/],
    [{ numCtx: 20_000_000 }, 'request.invalid', /numCtx must be <= 16777216/],
    [{ numCtxMax: 4_096.5 }, 'request.invalid', /numCtxMax must be integer/],
    [{ numCtx: '8192' }, 'request.invalid', /numCtx must be integer/],
    [{ nodes: [] }, 'request.invalid', /nodes must not have fewer than 1 items/],
    [{ nodes: ['a', 'a'] }, 'request.invalid', /nodes must not have duplicate items/],
    [{ prefer: 'a' }, 'request.invalid', /prefer must be array/],
    [{ labels: {} }, 'request.invalid', /labels must not have fewer than 1 properties/],
    [{ labels: { 'a b': 'x' } }, 'request.invalid', /labels may not have "a b"/],
    [{ keepAliveS: true }, 'request.invalid', /keepAliveS must be either number or string/],
    [{ keepAliveS: '300' }, 'request.invalid', /keepAliveS is not a keep-alive: seconds as a number, or/],
    [{ keepAliveS: '5 minutes' }, 'request.invalid', /such as "5m"/],
    [{ keepAliveS: 1e12 }, 'request.invalid', /keepAliveS must be <= 9000000000/],
    [{ keepAliveMaxS: '-1s' }, 'request.invalid', /for ever is no limit/],
  ] as const) {
    const answer = await put(house, 'tiny', body)
    t.equal(answer.statusCode, 400, JSON.stringify(body))
    t.match(answer.json(), { code, error: said }, JSON.stringify(body))
  }
  t.equal(house.journal.head.seq, 0)
})

t.test('what does nothing as things are is granted, with a warning', async t => {
  const house = await openDoors(t)
  house.join('a')
  house.join('b', { labels: { gpu: '4090' } })
  house.put('tiny:latest', 'a')
  const warnings = async (model: string, body: object) => (await put(house, model, body)).json().warnings
  for (const [body, ...said] of [
    [{ nodes: ['a', 'x'], avoid: ['y'] }, /^nodes: no node is called x;/, /^avoid: no node is called y;/],
    [{ prefer: ['z'] }, /^prefer: no node is called z/, /^prefer: none of these is a node that may run it/],
    [{ nodes: ['x'] }, /^nodes: no node is called x/, /^no node there is may run tiny:latest/],
    [{ labels: { gpu: '3090' } }, /^no node there is may run tiny:latest/],
    [{ replicasMin: 3 }, /^replicas: only 2 nodes may run tiny:latest, so there cannot be 3 copies$/],
    [{ replicasMax: 2, avoid: ['a'] }, /^no node that may run/, /^replicas: its copies on .* taken away: a$/],
    [{ labels: { gpu: '4090' } }, /^no node that may run tiny:latest has it; pull it .* X-Quipu-Nodes: b$/],
    [{ avoid: ['a'], prefer: ['a'] }, /has it; pull it/, /^prefer: none of these/],
    [{ numCtx: 8_192 }, /^numCtx: clients of \/v1 get each node's own .* OLLAMA_CONTEXT_LENGTH=8192/],
    [{ numCtxMax: 8_192, keepAliveS: 60, nodes: ['a'], labels: undefined }],
  ] as const) {
    const told = await warnings('tiny', body)
    t.equal(told.length, said.length, JSON.stringify(told))
    t.match(told, said, JSON.stringify(body))
  }
  t.match(await warnings('none', { keepAliveS: 60 }), [/^no node has none:latest yet$/])
  house.engine.commit('node', 'a', { type: 'node.remove', data: {} })
  t.match((await house.get('/quipu/policies/tiny')).json().warnings, [
    /no node is called a/,
    /no node there is/,
  ])
})
