import t from 'tap'
import { pageOf, span, text } from '../../src/report/page.ts'
import { reportOf } from '../../src/report/report.ts'
import { Tally } from '../../src/report/tally.ts'
import { yard } from '../scheduler/yard.ts'

const HEAD = { id: 'j1', head: { seq: 12, hash: 'h' } }

/** Ann asked twice and bob once; one of them was retried, and one has no end yet. */
async function afternoon() {
  const y = yard()
  y.start()
  await y.node('gpu-1', ['tiny:latest'], { resident: ['tiny:latest'] })
  await y.ask('a1', 'tiny:latest', { client: 'ann' })
  await y.ask('b1', 'tiny:latest', { client: 'bob', waitMs: 60_000 })
  await y.clock.advance(2_000)
  await y.done('a1', 500)
  await y.failed('b1', 'busy', 503)
  await y.done('b1', 500)
  await y.ask('a2', 'none:latest', { client: 'ann', waitMs: 5_000 })
  y.engine.attempt('node', 'gpu-1', { type: 'node.drain', data: {}, by: '<b>op</b>' })
  y.engine.attempt('setting', 'queue-max', {
    type: 'setting.set',
    data: { value: '64', start: '512' },
    by: 'op',
  })
  const codes = { 'job.full': 2 }
  for (let i = 0; i < 2; i += 1)
    y.engine.attempt('refusals', 'house', { type: 'refusals.count', data: { since: 0, codes } })
  await y.clock.advance(30_000)
  await y.engine.settled()
  return y
}

async function tallied(y: Awaited<ReturnType<typeof afternoon>>): Promise<Tally> {
  const tally = new Tally()
  for await (const page of y.journal.read()) tally.see(page)
  return tally
}

t.test('each request counts for its client, its model and where it ran', async t => {
  const { requests, clients, models, nodes } = reportOf(await tallied(await afternoon()), HEAD)
  t.match(requests, { requests: 3, retries: 1, open: 1, endings: { completed: 2 } })
  const row = ({ name, requests, retries, endings }: (typeof clients.rows)[number]) =>
    [name, requests, endings.completed, retries] as const
  t.same(clients.rows.map(row), [
    ['ann', 2, 1, 0],
    ['bob', 1, 1, 1],
  ])
  t.same(models.rows.map(row), [
    ['tiny:latest', 2, 2, 1],
    ['none:latest', 1, 0, 0],
  ])
  t.same(nodes.rows.map(row)[0], ['gpu-1', nodes.rows[0]!.requests, 2, 1])
  const [ann, bob] = clients.rows
  t.ok(bob!.waitP50Ms! > 1_800, `bob waited for ann: ${bob!.waitP50Ms}`)
  t.ok(ann!.waitP50Ms! < 10, String(ann!.waitP50Ms))
})

t.test(
  'who was turned away is summed up, and what was done to the house is listed with who did it',
  async t => {
    const { refused, deeds, asked } = reportOf(await tallied(await afternoon()), HEAD)
    t.same(refused, { 'job.full': 4 })
    t.match(
      deeds.last.filter(({ by }) => by !== ''),
      [
        { type: 'node.drained', id: 'gpu-1', by: '<b>op</b>' },
        { type: 'setting.set', id: 'queue-max', by: 'op', data: { before: '512', after: '64' } },
      ],
    )
    t.same(
      asked.find(({ by }) => by === 'op'),
      { by: 'op', facts: { 'setting.set': 1 } },
    )
  },
)

t.test('the same facts make the same report, in pages of any size', async t => {
  const y = await afternoon()
  const whole = pageOf(reportOf(await tallied(y), HEAD))
  const one = new Tally()
  for await (const page of y.journal.read()) for (const entry of page) one.see([entry])
  t.equal(pageOf(reportOf(one, HEAD)), whole)
})

t.test('a page needs nothing from elsewhere, and no name is markup', async t => {
  const page = pageOf(reportOf(await tallied(await afternoon()), HEAD))
  t.notMatch(page, /<script|src=|href=|url\(|@import|<b>op/)
  t.match(page, '&lt;b&gt;op&lt;/b&gt;')
  t.match(page, 'prefers-color-scheme:dark')
  t.match(page, '@media print')
  t.equal(text('a\u202eb\u0000<&"\''), 'a\ufffdb\ufffd&lt;&amp;&quot;&#39;')
})

t.test('damage is told first, and what follows is of what came before it', async t => {
  const damage = { code: 'journal.broken', message: 'Fact 13 is not what was written.', seq: 13 }
  const report = reportOf(await tallied(await afternoon()), { ...HEAD, damage })
  t.match(report.journal, { whole: false, damage })
  t.match(
    pageOf(report),
    /The journal is damaged.*Fact 13 is not what was written\. What follows is of the [\d,]+ facts before it/s,
  )
})

t.test('an empty journal has a page, too', async t => {
  t.matchSnapshot(pageOf(reportOf(new Tally(), HEAD)).replace(/<style>.*<\/style>/s, ''))
})

t.test('beyond a hundred names the rest is summed up, and none is lost', async t => {
  const tally = new Tally()
  for (let i = 0; i < 12_000; i += 1) {
    const data = { client: `c${i}`, model: 'm' }
    tally.hear({ seq: i + 1, at: i, kind: 'request', id: `r${i}`, type: 'request.admitted', data } as never)
  }
  const { clients, requests } = reportOf(tally, HEAD)
  t.equal(clients.rows.length, 100)
  t.equal(clients.left, 11_900)
  t.equal(clients.rows.reduce((sum, { requests }) => sum + requests, 0) + clients.others!.requests, 12_000)
  t.equal(requests.open, 12_000)
})

t.test('spans are written as people say them', async t => {
  t.same([null, 0, 999, 1_000, 61_000, 7_260_000, 100_000_000].map(span), [
    '–',
    '0 ms',
    '999 ms',
    '1.0 s',
    '1 m 1 s',
    '2 h 1 m',
    '1 d 3 h',
  ])
})
