import t from 'tap'
import { systemClock, virtualClock } from '../../src/clock.ts'
import type { Entry, Journal } from '../../src/journal/journal.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { Stories } from '../../src/journal/stories.ts'
import { type Filter, wantedBy } from '../../src/journal/wanted.ts'
import { history } from '../../src/projections/history.ts'
import { all, chance, fact } from './facts.ts'

const { signal } = new AbortController()

/** A journal in which each of these is one decision: `request.admitted r1` and its data. */
async function told(
  ...facts: readonly (readonly [what: string, data?: object, by?: string])[]
): Promise<Journal> {
  const journal = openMemoryJournal()
  for (const [what, data = {}, by] of facts) {
    const [type = '', id = ''] = what.split(' ')
    journal.stage(type.slice(0, type.indexOf('.')) as 'request', id, [fact(data, type, by)])
    if (journal.head.seq % 1_000 === 0) await journal.flushed()
  }
  await journal.flushed()
  return journal
}

const forgetful = (journal: Journal): Stories =>
  new Stories({ journal, clock: systemClock, remembered: () => undefined })

/** What a reader is given who begins after `after` and has pages of so many. */
async function read(
  journal: Journal,
  filter: Filter,
  { after = 0, size = 1_000, stories = forgetful(journal) } = {},
): Promise<Entry[]> {
  const wanted = wantedBy(filter, stories)
  const entries = await all(journal, { after })
  const found: Entry[] = []
  for (let at = 0; at < entries.length; at += size) {
    const page = entries.slice(at, at + size)
    found.push(...(wanted === undefined ? page : await wanted.of(page, signal)))
  }
  return found
}

const named = (entries: readonly Entry[]): string[] => entries.map(({ type, id }) => `${type} ${id}`)

const ask = (id: string, client: string, model: string) =>
  [`request.admitted ${id}`, { client, model }] as const
const give = (id: string, node: string) => [`request.assigned ${id}`, { node }] as const

t.test('no filter wants everything, and costs nothing', async t => {
  const journal = await told(ask('r1', 'ann', 'tiny:latest'))
  t.equal(wantedBy({}, forgetful(journal)), undefined)
})

t.test('a client, a model or a node brings all facts of its requests, and what else is theirs', async t => {
  const journal = await told(
    ['node.registered a', {}, 'ann'],
    ['model.found tiny:latest'],
    ['replica.found tiny:latest@a'],
    ['policy.set tiny:latest', {}, 'bob'],
    ask('r1', 'ann', 'tiny:latest'),
    ask('r2', 'bob', 'big:latest'),
    give('r1', 'a'),
    give('r2', 'b'),
    ['request.retried r2', { node: 'b', reason: 'lost' }],
    give('r2', 'a'),
    ['breaker.tripped b'],
    ['request.completed r2'],
    ['request.completed r1'],
    ['delivery.ordered r1'],
    ['model.pulled big:latest', { nodes: ['a', 'c'] }, 'ann'],
    ['request.leased r3', { worker: 'w' }],
  )
  const asked = async (filter: Filter) => named(await read(journal, filter))
  t.same(await asked({ client: 'ann' }), [
    'node.registered a',
    'request.admitted r1',
    'request.assigned r1',
    'request.completed r1',
    'delivery.ordered r1',
    'model.pulled big:latest',
  ])
  t.same(await asked({ model: 'tiny' }), [
    'model.found tiny:latest',
    'replica.found tiny:latest@a',
    'policy.set tiny:latest',
    'request.admitted r1',
    'request.assigned r1',
    'request.completed r1',
    'delivery.ordered r1',
  ])
  t.same(
    await asked({ node: 'b' }),
    [
      'request.assigned r2',
      'request.retried r2',
      'request.assigned r2',
      'breaker.tripped b',
      'request.completed r2',
    ],
    'from the moment on when it was given to it, also when another had it later',
  )
  t.same(await asked({ node: 'c,w', kind: 'request,model' }), [
    'model.pulled big:latest',
    'request.leased r3',
  ])
  t.same(await asked({ client: 'bob', node: 'a', type: 'request.' }), [
    'request.assigned r2',
    'request.completed r2',
  ])
})

t.test('times are times of facts, and a time that is none is refused', async t => {
  const clock = virtualClock()
  const journal = openMemoryJournal({ clock })
  for (const at of [1_000, 5_000, 2_000, 3_000])
    journal.stage('node', 'a', [{ ...fact({}), at: Date.UTC(2030, 0, 1) + at }])
  await journal.flushed()
  const seqs = async (filter: Filter) => (await read(journal, filter)).map(({ seq }) => seq)
  t.same(await seqs({ since: '2030-01-01T00:00:02' }), [2, 3, 4])
  t.same(await seqs({ since: '2030-01-01T00:00:02Z', until: '2030-01-01T00:00:05Z' }), [3, 4])
  t.same(await seqs({ until: String(Date.UTC(2030, 0, 1, 0, 0, 2)) }), [1])
  t.throws(() => wantedBy({ since: 'yesterday' }, forgetful(journal)), {
    code: 'request.invalid',
    message: /"yesterday" is not a time such as/,
  })
})

t.test('wherever a reader begins and however its pages are cut, the same facts are wanted', async t => {
  const { seed, below } = chance()
  t.comment(`SEED=${seed}`)
  const one = <T>(of: readonly T[]): T => of[below(of.length)]!
  const facts: (readonly [string, object?])[] = []
  const open: string[] = []
  for (let i = 0; i < 12_000; i += 1) {
    const draw = below(10)
    if (open.length === 0 || draw < 2) {
      open.push(`r${i}`)
      facts.push(ask(`r${i}`, one(['ann', 'bob', 'cy']), one(['x:latest', 'y:latest'])))
    } else if (draw < 5) facts.push(give(one(open), one(['a', 'b', 'c'])))
    else if (draw < 7) facts.push([`node.lost ${one(['a', 'b', 'c'])}`])
    else facts.push([`request.completed ${open.splice(below(open.length), 1)[0]}`])
  }
  // Some are open all the time, and so is nobody's memory of them.
  facts.unshift(ask('old', 'ann', 'x:latest'), give('old', 'a'))
  facts.push(['request.completed old'], ['delivery.ordered old'])
  const journal = await told(...facts)
  const view = history()
  for (const entry of await all(journal)) view.rows[entry.type]?.(entry)
  const remembering = new Stories({
    journal,
    clock: systemClock,
    remembered: id => view.state.get(id),
  })
  for (const filter of [
    { client: 'ann' },
    { model: 'x' },
    { node: 'a' },
    { client: 'ann,cy', node: 'b', model: 'x' },
  ]) {
    const whole = await read(journal, filter)
    for (let round = 0; round < 4; round += 1) {
      const after = below(journal.durable)
      const size = 1 + below(round === 0 ? 50 : 1_000)
      const stories = one([remembering, forgetful(journal)])
      t.same(
        (await read(journal, filter, { after, size, stories })).map(({ seq }) => seq),
        whole.filter(({ seq }) => seq > after).map(({ seq }) => seq),
        `${JSON.stringify(filter)} after ${after}, pages of ${size}`,
      )
    }
  }
})

t.test('a stretch that is read again is the same', async t => {
  const journal = await told(
    ask('r1', 'ann', 'x:latest'),
    give('r1', 'a'),
    ask('r2', 'bob', 'x:latest'),
    give('r2', 'a'),
  )
  const wanted = wantedBy({ client: 'ann' }, forgetful(journal))!
  const page = await all(journal, { after: 1 })
  for (let round = 0; round < 3; round += 1) {
    t.same(named(await wanted.of(page, signal)), ['request.assigned r1'])
  }
})
