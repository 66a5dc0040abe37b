/** The doors of jobs over facts that the test makes; nothing runs. */
import t from 'tap'
import { Failure } from '../../../src/failure.ts'
import { openDoors } from '../doors.ts'

const order = { path: '/api/generate', body: { model: 'tiny' } }

t.test('jobs are listed newest first, and by what they are', async t => {
  const house = await openDoors(t)
  house.admit('a', { job: true, client: '::ffff:10.0.0.1' })
  house.admit('live')
  house.admit('b', { job: true, model: 'big:latest', client: 'night' })
  house.admit('c', { job: true, client: 'night' })
  house.engine.commit('request', 'c', { type: 'request.lease', data: { worker: 'w', until: 9e15 } })
  house.engine.commit('request', 'b', { type: 'request.cancel', data: {} })
  const list = async (query = '') =>
    (await house.get(`/quipu/jobs${query}`)).json().map(({ id }: { id: string }) => id)
  t.same(await list(), ['c', 'b', 'a'])
  t.same(await list('?state=open'), ['c', 'a'])
  t.same(await list('?state=finished'), ['b'])
  t.same(await list('?state=queued,cancelled'), ['b', 'a'])
  t.same(await list('?model=big'), ['b'])
  t.same(await list('?client=night&state=leased'), ['c'])
  t.same(await list('?client=10.0.0.1'), ['a'])
  t.same(await list('?limit=1'), ['c'])
  t.equal((await house.get('/quipu/jobs?state=done')).statusCode, 400)
  t.equal((await house.get('/quipu/jobs?sate=open')).statusCode, 400)
})

t.test('a job that never was, and a request that is none, are unknown', async t => {
  const house = await openDoors(t)
  house.admit('live')
  for (const id of ['nobody', 'live']) {
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/result'],
      ['GET', '/stream'],
      ['DELETE', ''],
    ] as const) {
      const res = await house.app.inject({ method, url: `/quipu/jobs/${id}${path}` })
      t.same([res.statusCode, res.json().code], [404, 'job.unknown'], `${method} ${path}`)
    }
  }
  t.match(house.requests.state.open.get('live'), { state: 'queued' })
})

t.test('what is submitted is on disk before it is answered: the question, and the fact', async t => {
  const house = await openDoors(t)
  const res = await house.post('/quipu/jobs', order)
  t.equal(res.statusCode, 202)
  const { id } = res.json()
  t.equal(res.headers.location, `/quipu/jobs/${id}`)
  t.equal(house.journal.durable, house.journal.head.seq)
  t.same((await house.spool.read(id, 'body'))?.bytes.toString(), JSON.stringify(order.body))
  const again = await house.post('/quipu/jobs', { ...order, idempotencyKey: 'k' })
  const twice = await house.post('/quipu/jobs', { ...order, idempotencyKey: 'k' })
  t.same(
    [twice.json().id, twice.headers['idempotent-replayed'], again.headers['idempotent-replayed']],
    [again.json().id, 'true', undefined],
  )
  const other = await house.post('/quipu/jobs', { ...order, body: { model: 'x' }, idempotencyKey: 'k' })
  t.same([other.statusCode, other.json().code], [422, 'key.reused'])
})

t.test(
  'while the journal cannot be written nothing changes, and nothing is left of what was tried',
  async t => {
    const house = await openDoors(t, {
      fault: () => {
        throw new Failure('journal.unwritable', 'ENOSPC')
      },
    })
    house.admit('j', { job: true })
    await house.engine.settled().catch(() => {})
    for (const [method, url, payload] of [
      ['POST', '/quipu/jobs', order],
      ['DELETE', '/quipu/jobs/j', undefined],
      ['POST', '/quipu/erase', { request: 'j' }],
    ] as const) {
      const res = await house.app.inject({ method, url, ...(payload && { payload }) })
      t.same(
        [res.statusCode, res.json().code, res.headers['retry-after']],
        [503, 'journal.unwritable', '10'],
        url,
      )
    }
    t.equal(house.spool.items().length, 0)
    const read = await house.get('/quipu/jobs/j')
    t.same([read.statusCode, read.headers['x-quipu-unwritten']], [200, '1'])
  },
)
