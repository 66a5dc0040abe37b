/** Things that are read in the background, under a clock that stands still until told. */
import t from 'tap'
import { Reading } from '../../../src/agent/hardware/reading.ts'
import { type VirtualClock, virtualClock } from '../../../src/clock.ts'

interface Trial {
  readonly reading: Reading<number>
  readonly clock: VirtualClock
  readonly warned: string[]
  /** Reads that were begun. */
  reads: number
  /** What the next read does. */
  next: (signal: AbortSignal) => Promise<number>
}

function trial({ everyMs = 10_000, deadlineMs = 5_000 } = {}): Trial {
  const clock = virtualClock()
  const warned: string[] = []
  const it: Trial = {
    clock,
    warned,
    reads: 0,
    next: async () => it.reads,
    reading: new Reading({
      clock,
      name: 'the weather',
      everyMs,
      deadlineMs,
      warn: message => warned.push(message),
      read: signal => {
        it.reads += 1
        return it.next(signal)
      },
    }),
  }
  return it
}

const failing = async (): Promise<number> => {
  throw new Error('refused\nwith a stack')
}
const hanging = (): Promise<number> => new Promise(() => {})

t.test('who asks waits for nothing: the first time there is nothing, then what was read', async t => {
  const it = trial()
  it.reading.want()
  t.equal(it.reading.value, undefined)
  t.equal(it.reading.tried, false)
  await it.clock.advance(0)
  t.equal(it.reading.value, 1)
  t.equal(it.reading.tried, true)
})

t.test('it is read again after its interval, not before, and only while somebody asks', async t => {
  const it = trial()
  for (let second = 0; second < 60; second += 5) {
    it.reading.want()
    await it.clock.advance(5_000)
  }
  t.equal(it.reads, 6)
  await it.clock.advance(3_600_000)
  t.equal(it.reads, 6)
})

t.test('what is older than three intervals is unknown', async t => {
  const it = trial()
  await it.reading.fresh()
  it.next = hanging
  await it.clock.advance(30_000)
  t.equal(it.reading.value, 1)
  await it.clock.advance(1)
  t.equal(it.reading.value, undefined)
  t.equal(it.reading.latest, 1, 'it is remembered all the same')
})

t.test(
  'who asks every five minutes is told what was read five minutes ago, and not what an hour ago',
  async t => {
    const it = trial()
    it.reading.want()
    await it.clock.advance(300_000)
    it.reading.want()
    t.equal(it.reading.value, 1)
    await it.clock.advance(3_600_000)
    it.reading.want()
    t.equal(it.reading.value, undefined)
    await it.clock.advance(0)
    t.equal(it.reading.value, 3)
  },
)

t.test('who asks several times at once counts once', async t => {
  const it = trial()
  for (let i = 0; i < 3; i += 1) {
    it.reading.want()
    it.reading.want()
    await it.clock.advance(300_000)
  }
  it.reading.want()
  it.reading.want()
  t.equal(it.reading.value, 3)
})

t.test('one that hangs is late once, told of once, and never joined by another', async t => {
  const it = trial()
  it.next = hanging
  for (let i = 0; i < 100; i += 1) {
    it.reading.want()
    await it.clock.advance(10_000)
  }
  t.equal(it.reads, 1)
  t.same(it.warned, ['the weather cannot be read: no answer within 5 s'])
  await it.reading.fresh()
  t.equal(it.reads, 1, 'also where somebody wants it now')
})

t.test(
  'the signal says that it is late; what comes back then is left, and the next read may come',
  async t => {
    const it = trial()
    let told: AbortSignal | undefined
    it.next = signal => {
      told = signal
      return new Promise(resolve => {
        it.clock.after(20_000, () => resolve(7))
      })
    }
    it.reading.want()
    await it.clock.advance(4_999)
    t.equal(told!.aborted, false)
    await it.clock.advance(1)
    t.equal(told!.aborted, true)
    await it.clock.advance(15_000)
    t.equal(it.reading.value, undefined, 'as old as its beginning')
    it.next = async () => 8
    it.reading.want()
    await it.clock.advance(0)
    t.equal(it.reading.value, 8)
    t.same(it.warned.at(-1), 'the weather can be read again')
  },
)

t.test('after failures it is asked later and later, up to five minutes, and told of once', async t => {
  const it = trial()
  it.next = failing
  const at: number[] = []
  let before = 0
  for (let second = 0; second <= 1_200; second += 1) {
    it.reading.want()
    await it.clock.advance(1_000)
    if (it.reads > before) at.push(second)
    before = it.reads
  }
  t.same(at, [0, 10, 30, 70, 150, 310, 610, 910])
  t.same(it.warned, ['the weather cannot be read: refused'])
  it.next = async () => 5
  await it.reading.fresh()
  t.equal(it.reading.value, 5)
  t.same(it.warned.slice(1), ['the weather can be read again'])
})

t.test(
  'who wants it now waits for it, together with others who do, and at most until its deadline',
  async t => {
    const it = trial()
    it.next = () => new Promise(resolve => it.clock.after(1_000, () => resolve(it.reads)))
    const both = Promise.all([it.reading.fresh(), it.reading.fresh()])
    await it.clock.advance(1_000)
    await both
    t.equal(it.reads, 1)
    it.next = hanging
    let over = false
    const late = it.reading.fresh().then(() => {
      over = true
    })
    await it.clock.advance(4_999)
    t.equal(over, false)
    await it.clock.advance(1)
    await late
    t.equal(it.reading.value, 1)
  },
)

t.test('what takes long is read less often: a hundredth of the time, but once a minute', async t => {
  const reads = async (tookMs: number): Promise<number> => {
    const it = trial()
    it.next = () => new Promise(resolve => it.clock.after(tookMs, () => resolve(1)))
    for (let second = 0; second < 600; second += 1) {
      it.reading.want()
      await it.clock.advance(1_000)
    }
    return it.reads
  }
  t.equal(await reads(50), 60, '50 ms')
  t.equal(await reads(400), 16, '400 ms')
  t.equal(await reads(4_000), 11, '4 s')
})

t.test('one that was closed reads no more, and tells what is under way to end', async t => {
  const it = trial()
  let told: AbortSignal | undefined
  it.next = signal => {
    told = signal
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  }
  it.reading.want()
  it.reading.close()
  t.equal(told!.aborted, true)
  await it.clock.advance(60_000)
  it.reading.want()
  await it.reading.fresh()
  t.equal(it.reads, 1)
  t.same(it.warned, [], 'and has nothing to say of it')
})
