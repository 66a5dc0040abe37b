/** What is out, what came back, and where that leaves the mark: by hand, and against a list of seqs that is always right. */
import t from 'tap'
import { mulberry32 } from '../../src/clock.ts'
import { Stretches } from '../../src/subscriptions/stretches.ts'

t.test(
  'the mark stands before the first fact that is not acknowledged, in whatever order that comes',
  async t => {
    const s = new Stretches(10)
    s.settle(s.next(), 20, 'a')
    s.settle(s.next(), 30, 'b')
    s.settle(s.next(), 40, 'c')
    t.same([s.mark, s.out, s.next().after], [10, 3, 40])
    s.ack('b')
    t.equal(s.mark, 10)
    s.ack('a', 15)
    t.same([s.mark, s.of('a')], [15, { after: 15, through: 20, attempt: 1, lease: 'a' }])
    s.ack('a')
    t.equal(s.mark, 30)
    s.ack('c')
    t.same([s.mark, s.out], [40, 0])
  },
)

t.test('what comes back goes out first, may be cut, and says how often it has been out', async t => {
  const s = new Stretches(0)
  s.settle(s.next(), 10, 'a')
  s.settle(s.next(), 20, 'b')
  s.giveBack('a')
  s.giveBack('a')
  t.same(s.next(), { after: 0, through: 10, attempt: 2 })
  s.settle(s.next(), 4, 'c')
  t.same(s.next(), { after: 4, through: 10, attempt: 2 })
  s.ack('c')
  t.equal(s.mark, 4)
  s.settle(s.next(), 10, 'd')
  t.same([s.next().after, s.next().attempt, s.out], [20, 1, 2])
})

t.test('where nothing was wanted there is nothing to acknowledge', async t => {
  const s = new Stretches(0)
  s.settle(s.next(), 10)
  t.equal(s.mark, 10)
  s.settle(s.next(), 20, 'a')
  s.settle(s.next(), 30)
  t.equal(s.mark, 10)
  s.ack('a')
  t.equal(s.mark, 30)
})

t.test('everything up to a seq is done with, whoever has it', async t => {
  const s = new Stretches(0)
  for (const [through, lease] of [
    [10, 'a'],
    [20, 'b'],
    [30, 'c'],
  ] as const)
    s.settle(s.next(), through, lease)
  s.ackThrough(15)
  t.same([s.mark, s.of('a'), s.of('b')?.after, s.out], [15, undefined, 15, 2])
  s.ackThrough(3)
  t.equal(s.mark, 15, 'never back')
  s.ackThrough(50)
  t.same([s.mark, s.next().after, s.out], [50, 50, 0])
})

t.test(
  'a thousand random stories: the mark is right, and what is open is what was never acknowledged',
  async t => {
    const seed = Date.now() % 1_000_000
    t.comment(`seed ${seed}`)
    const random = mulberry32(seed)
    const whole = (max: number): number => Math.floor(random() * max)
    for (let story = 0; story < 1_000; story += 1) {
      const s = new Stretches(0)
      /** By seq: the lease that has it, `back`, or `done`. What is not in it has not been looked at. */
      const facts = new Map<number, string>()
      const leases: string[] = []
      for (let turn = 0; turn < 60; turn += 1) {
        const lease = leases[whole(leases.length)] ?? ''
        const roll = random()
        if (roll < 0.4) {
          const next = s.next()
          const through = Math.min(next.through, next.after + 1 + whole(5))
          const name = random() < 0.1 ? undefined : `l${turn}`
          for (let seq = next.after + 1; seq <= through; seq += 1) {
            if (!['back', undefined].includes(facts.get(seq))) return t.fail(`${seq} is handed out twice`)
            facts.set(seq, name ?? 'done')
          }
          s.settle(next, through, name)
          if (name !== undefined) leases.push(name)
        } else if (roll < 0.6) {
          s.ack(lease)
          for (const [seq, whose] of facts) if (whose === lease) facts.set(seq, 'done')
        } else if (roll < 0.75) {
          const through = whole(40)
          s.ack(lease, through)
          for (const [seq, whose] of facts) if (whose === lease && seq <= through) facts.set(seq, 'done')
        } else if (roll < 0.97) {
          s.giveBack(lease)
          for (const [seq, whose] of facts) if (whose === lease) facts.set(seq, 'back')
        } else {
          const through = whole(40)
          s.ackThrough(through)
          for (let seq = 1; seq <= through; seq += 1) facts.set(seq, 'done')
        }
        const seen = [...facts].sort(([a], [b]) => a - b)
        const first = seen.find(([, whose]) => whose !== 'done')?.[0] ?? seen.length + 1
        if (s.mark !== first - 1) return t.equal(s.mark, first - 1, `story ${story}, turn ${turn}`)
      }
    }
    t.pass('all of them')
  },
)
