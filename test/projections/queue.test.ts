/** The order of turns, as a property of many random queues; the seed is printed. */
import t from 'tap'
import { mulberry32 } from '../../src/clock.ts'
import {
  aheadOf,
  charge,
  emptyQueue,
  enter,
  leave,
  lineup,
  type Queue,
  settle,
  turnOf,
  type Waiting,
} from '../../src/projections/queue.ts'

const starveMs = 60_000
let seq = 0
const one = (change: Partial<Waiting> = {}): Waiting => ({
  id: `r${++seq}`,
  model: 'm',
  variant: '',
  labels: {},
  client: 'c',
  class: 'interactive',
  priority: 5,
  deadlineAt: Number.POSITIVE_INFINITY,
  admittedAt: 0,
  seq,
  cost: 100,
  ...change,
})
const all = (queue: Queue, now = 0): string[] =>
  [...lineup(queue, queue.lines.get('m')!, { now, starveMs })].map(({ id }) => id)

t.test('class, then priority, then whoever was served least, then deadline, then age', async t => {
  const queue = emptyQueue()
  const rows = [
    one({ id: 'batch', class: 'batch', priority: 9 }),
    one({ id: 'low', priority: 0 }),
    one({ id: 'c1' }),
    one({ id: 'c2' }),
    one({ id: 'c3', deadlineAt: 5 }),
    one({ id: 'd1', client: 'd' }),
    one({ id: 'high', priority: 9 }),
  ]
  for (const row of rows) enter(queue, row)
  t.same(all(queue), ['high', 'd1', 'c3', 'c1', 'c2', 'low', 'batch'])
  t.same(all(queue), all(queue), 'looking changes nothing')
  t.equal(queue.count, 7)
})

t.test('what a request is thought to cost is charged, and corrected at its end', async t => {
  const queue = emptyQueue()
  const [dear, cheap] = [one({ client: 'a', cost: 500 }), one({ client: 'b', cost: 100 })]
  const next = [one({ client: 'a' }), one({ client: 'b' })]
  for (const row of [dear, cheap, ...next]) enter(queue, row)
  for (const row of [dear, cheap]) {
    charge(queue, row)
    leave(queue, row)
  }
  t.same(all(queue), [next[1]!.id, next[0]!.id])
  settle(queue, dear, -450)
  t.same(all(queue), [next[0]!.id, next[1]!.id], 'it was cheaper than b after all')
})

t.test('who comes back has saved up nothing, and owes no more than a quantum', async t => {
  const queue = emptyQueue()
  const busy = Array.from({ length: 50 }, () => one({ client: 'busy', cost: 10_000 }))
  for (const row of busy) enter(queue, row)
  for (const row of busy.slice(0, 40)) {
    charge(queue, row)
    leave(queue, row)
  }
  enter(queue, one({ client: 'new' }))
  t.equal(queue.accounts.get('new')!.served, queue.accounts.get('busy')!.served)
})

t.test('an empty line is forgotten', async t => {
  const queue = emptyQueue()
  const row = one({ variant: 'num_ctx=1', labels: { gpu: 'x' } })
  enter(queue, row)
  t.same([...queue.lines.keys()], ['m num_ctx=1 [gpu=x]'])
  leave(queue, row)
  t.same([queue.lines.size, queue.ofModel.size, queue.count], [0, 0, 0])
})

t.test('clients that wait all the time are served alike, to within a quantum and an answer', async t => {
  const seed = Date.now() % 2 ** 31
  t.comment(`seed ${seed}`)
  const random = mulberry32(seed)
  for (let round = 0; round < 20; round += 1) {
    const queue = emptyQueue()
    const clients = Array.from({ length: 2 + Math.floor(random() * 6) }, (_, i) => `client-${i}`)
    const costMax = 2_000
    const ask = (client: string): void => enter(queue, one({ client, cost: Math.ceil(random() * costMax) }))
    for (const client of clients) for (let i = 0; i < 3 + random() * 20; i += 1) ask(client)
    const served = new Map<string, number>()
    for (let turn = 0; turn < 500; turn += 1) {
      const next = turnOf(queue, queue.lines.get('m')!, { now: 0, starveMs })!
      charge(queue, next)
      leave(queue, next)
      // What it really cost is another thing than what was thought.
      const owed = Math.round((random() - 0.5) * next.cost)
      settle(queue, next, owed)
      served.set(next.client, (served.get(next.client) ?? 0) + next.cost + owed)
      ask(next.client)
    }
    const shares = clients.map(client => served.get(client) ?? 0)
    t.ok(Math.max(...shares) - Math.min(...shares) <= 2 * costMax, `round ${round}: ${shares.join(' ')}`)
  }
})

t.test('past the bound, who is first of its client waits for a turn in four', async t => {
  const queue = emptyQueue()
  const old = one({ client: 'old', class: 'batch', priority: 0 })
  enter(queue, old)
  const turns = (now: number): number => {
    for (let turn = 1; ; turn += 1) {
      enter(queue, one({ client: `new-${turn % 7}`, priority: 9, admittedAt: now }))
      const next = turnOf(queue, queue.lines.get('m')!, { now, starveMs })!
      if (next === old || turn > 50) return turn
      charge(queue, next)
      leave(queue, next)
    }
  }
  t.equal(turns(starveMs - 1), 51, 'not before it')
  t.equal(turns(starveMs), 1)
})

t.test('how many go before one that comes now', async t => {
  const queue = emptyQueue()
  for (let i = 0; i < 10; i += 1) enter(queue, one({ client: 'flood' }))
  enter(queue, one({ client: 'mine' }))
  t.equal(aheadOf(queue, one({ client: 'new' })), 2, 'one of each other client')
  t.equal(aheadOf(queue, one({ client: 'mine' })), 3, 'its own, and two of the other')
  t.equal(aheadOf(queue, one({ client: 'new', priority: 9 })), 0)
  t.equal(aheadOf(queue, one({ client: 'new', class: 'batch' })), 11)
})
