/** Snapshots: what they hold, when they are taken, and what becomes of those that cannot be used. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { mulberry32 } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Failure } from '../../src/failure.ts'
import { openMemoryJournal } from '../../src/journal/memory.ts'
import { statesOf, views } from '../../src/projections/views.ts'
import { Snapshots } from '../../src/snapshots/snapshots.ts'
import { handClock, lives } from './lives.ts'
import { outline } from './same.ts'

interface Stage {
  readonly dir?: string
  readonly records?: string[]
  readonly id?: string
  readonly everyFacts?: number
  readonly fault?: () => void
}

/** A new one each time; `t.testdir()` is one a test. */
function folder(t: Test): string {
  const dir = mkdtempSync(join(tmpdir(), 'quipu-snapshots-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  return dir
}

/** A journal in memory and snapshots in a folder, as a house opens them. */
async function stage(
  t: Test,
  { dir = folder(t), records = [], id = 'memory', everyFacts = 1_000_000, fault = () => {} }: Stage = {},
) {
  const time = { now: Date.UTC(2026, 10, 1) }
  const clock = handClock(time)
  const journal = openMemoryJournal({ id, records, fault })
  const warnings: string[] = []
  const snapshots = new Snapshots({
    dir,
    journal,
    clock,
    everyFacts,
    warn: message => warnings.push(message),
  })
  const snapshot = await snapshots.newest()
  const answers = views(snapshot?.views)
  const engine = new Engine(journal, clock, Object.values(answers))
  await engine.replay({ from: snapshot })
  snapshots.start(engine, answers)
  const files = (): string[] => readdirSync(join(dir, 'snapshots')).sort()
  /** So many more facts, made up from the seed, and all of them on the disk. */
  const live = async (facts: number, seed = 1): Promise<void> => {
    const step = lives({ engine, time, seed })
    for (const end = journal.head.seq + facts; journal.head.seq < end; ) {
      for (let i = 0; i < 50 && journal.head.seq < end; i += 1) step()
      await engine.settled()
    }
  }
  /** View by view and stream by stream: between two of them nothing is shared that ever changes. */
  const state = (): string => {
    const streams = Object.values(engine.streams()).flat()
    return [...Object.entries(statesOf(answers)), ...streams, engine.position].map(outline).join('\n')
  }
  return { dir, records, journal, engine, answers, snapshots, snapshot, warnings, files, live, state }
}

t.test('a snapshot and the facts after it come to the same as all facts', async t => {
  const seed = Math.floor(Math.random() * 2 ** 32)
  t.comment(`seed ${seed}`)
  const random = mulberry32(seed)
  for (let round = 0; round < 8; round += 1) {
    const dir = folder(t)
    const first = await stage(t)
    // Some are longer than what the history and the day's list hold.
    await first.live(50 + Math.floor(random() ** 4 * 14_000), seed + round)
    const facts = first.records.length
    const whole = await stage(t, { records: [...first.records] })
    const cut = 1 + Math.floor(random() * facts)
    const early = await stage(t, { dir, records: first.records.slice(0, cut) })
    await early.snapshots.take()
    const late = await stage(t, { dir, records: first.records })
    t.equal(late.snapshot?.seq, cut)
    t.same(late.warnings, [])
    t.equal(late.state() === whole.state(), true, `${facts} facts, cut after ${cut}`)
    // And on from there: a state that only looks the same would fold differently.
    await Promise.all([late.live(200, round), whole.live(200, round)])
    t.equal(late.state() === whole.state(), true, 'and so do 200 more')
  }
})

t.test('one is taken every so many facts, and when the house stops; two are kept', async t => {
  const { dir, records, snapshots, live, files, journal } = await stage(t, { everyFacts: 300 })
  const taken: string[] = []
  for (let i = 0; i < 4; i += 1) {
    await live(300)
    await snapshots.take()
    taken.push(files().at(-1)!)
  }
  t.equal(new Set(taken).size, 4)
  t.same(files(), taken.slice(-2))
  await live(20)
  await snapshots.close()
  const last = `${String(journal.head.seq).padStart(16, '0')}.snapshot`
  t.same(files(), [taken.at(-1), last])
  t.equal(snapshots.figures.failed, 0)
  const again = await stage(t, { dir, records })
  t.equal(again.snapshot?.seq, records.length, 'nothing is left to replay')
  await again.snapshots.close()
  t.same(files(), [taken.at(-1), last], 'and where nothing happened, nothing is written')
})

t.test('one that cannot be used is left aside with a line, and the start replays more', async t => {
  const whole = await stage(t)
  await whole.live(400)
  const { records } = whole
  const early = await stage(t, { records: records.slice(0, 200) })
  await early.snapshots.take()
  await early.live(0)
  const [name = ''] = early.files()
  const good = readFileSync(join(early.dir, 'snapshots', name))

  const text = good.toString('latin1')
  const other = text.replace(/"fingerprint":"./, '"fingerprint":"?')
  const cases: readonly [string, { bytes?: Buffer; records?: string[]; id?: string }, RegExp][] = [
    ['cut short', { bytes: good.subarray(0, good.length - 1) }, /it is damaged/],
    ['empty', { bytes: Buffer.alloc(0) }, /it is damaged/],
    ['with another label', { bytes: Buffer.from(other, 'latin1') }, /it is damaged/],
    [
      'newer than the journal',
      { records: records.slice(0, 199) },
      /is of fact 200, and the journal ends at 199/,
    ],
    ['of another journal', { records: [], id: 'other' }, /another journal/],
  ]
  for (const [what, { bytes = good, ...rest }, why] of cases) {
    writeFileSync(join(early.dir, 'snapshots', name), bytes)
    const { snapshot, warnings, engine } = await stage(t, { dir: early.dir, records, ...rest })
    t.same([snapshot, warnings.length], [undefined, 1], what)
    t.match(warnings[0], why)
    t.equal(engine.position.seq, (rest.records ?? records).length)
  }

  writeFileSync(join(early.dir, 'snapshots', name), good)
  const strange = await stage(t)
  await strange.live(400, 2)
  const { snapshot, warnings } = await stage(t, { dir: early.dir, records: strange.records })
  t.equal(snapshot, undefined)
  t.match(warnings, [/fact 200 of the journal is not the one it was taken after/])
})

t.test('whichever byte of it flips, it is not used', async t => {
  const seed = Math.floor(Math.random() * 2 ** 32)
  t.comment(`seed ${seed}`)
  const random = mulberry32(seed)
  const { dir, records, snapshots, live, files, state } = await stage(t)
  await live(60)
  await snapshots.take()
  const path = join(dir, 'snapshots', files()[0]!)
  const good = readFileSync(path)
  const flips = [
    ...Array(200).keys(),
    ...Array.from({ length: 200 }, () => Math.floor(random() * good.length)),
  ]
  for (const at of flips) {
    const bytes = Buffer.from(good)
    bytes[at]! ^= 1 << Math.floor(random() * 8)
    writeFileSync(path, bytes)
    const { snapshot, warnings } = await stage(t, { dir, records })
    if (snapshot !== undefined || warnings.length !== 1) t.fail(`byte ${at} of ${good.length}`)
  }
  writeFileSync(path, good)
  t.equal((await stage(t, { dir, records })).state(), state())
})

t.test(
  'where the newer one is damaged, the older one is used; and it is the damaged one that makes room',
  async t => {
    const { dir, records, snapshots, live, files } = await stage(t)
    await live(100)
    await snapshots.take()
    await live(100)
    await snapshots.take()
    const [older, newer] = files() as [string, string]
    writeFileSync(join(dir, 'snapshots', newer), 'x')
    const again = await stage(t, { dir, records })
    t.equal(`${String(again.snapshot?.seq).padStart(16, '0')}.snapshot`, older)
    await again.live(100)
    await again.snapshots.take()
    t.equal(files().length, 2)
    t.notOk(files().includes(newer))
    t.ok(files().includes(older))
  },
)

t.test('a disk that takes no snapshot costs nothing but the snapshot', async t => {
  const dir = t.testdir({ snapshots: 'a file where the folder should be' })
  const { snapshots, live, warnings, journal } = await stage(t, { dir, everyFacts: 100 })
  await live(250)
  await snapshots.close()
  t.equal(snapshots.figures.written, 0)
  t.ok(snapshots.figures.failed >= 2)
  t.match(warnings.at(-1), /^no snapshot could be written to .*snapshots: /)
  t.equal(journal.writable, true)
})

t.test('none is of facts that the disk may never have', async t => {
  let full = false
  const fault = (): void => {
    if (full) throw new Failure('journal.unwritable', 'no space left', { retryable: true })
  }
  const { dir, snapshots, live, engine, warnings } = await stage(t, { fault })
  await live(50)
  full = true
  engine.commit('node', 'late', {
    type: 'node.register',
    data: { url: 'http://late', slots: 1, residentMax: 1, labels: {}, origin: 'api' },
  })
  await snapshots.take()
  t.match(warnings, [/Nothing can be written/])
  t.throws(() => readdirSync(join(dir, 'snapshots')), { code: 'ENOENT' })
})

t.test('what is dropped is gone, and one that is being written does not bring it back', async t => {
  const { dir, records, snapshots, live, files } = await stage(t)
  await live(100)
  await snapshots.take()
  await live(10)
  writeFileSync(join(dir, 'snapshots', '0000000000000007.snapshot.new'), 'half')
  const writing = snapshots.take()
  await snapshots.drop()
  await writing
  t.same(files(), [])
  await live(10)
  await snapshots.take()
  t.equal(files().length, 1)
  const { snapshot } = await stage(t, { dir, records })
  t.equal(snapshot?.seq, records.length)
})

t.test('with 0, none is taken and none is read', async t => {
  const { dir, records, snapshots, live } = await stage(t)
  await live(100)
  await snapshots.close()
  const off = await stage(t, { dir, records, everyFacts: 0 })
  t.equal(off.snapshot, undefined)
  rmSync(join(dir, 'snapshots'), { recursive: true })
  mkdirSync(join(dir, 'snapshots'))
  await off.live(100)
  await off.snapshots.close()
  t.same(off.files(), [])
})
