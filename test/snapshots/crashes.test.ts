/**
 * Crashes at random moments of deciding, writing and taking snapshots: whatever snapshot is found afterwards, with the
 * facts after it, comes to what all facts come to, and is of no fact that was lost. The journal's disk is one that forgets
 * (test/journal/disk.ts); snapshots are real files. QUIPU_CRASHES=10000 makes it longer: a tenth of that.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { statesOf, views } from '../../src/projections/views.ts'
import { readSnapshot, writeSnapshot } from '../../src/snapshots/file.ts'
import { Snapshots } from '../../src/snapshots/snapshots.ts'
import { Disk } from '../journal/disk.ts'
import { chance } from '../journal/facts.ts'
import { mount, NO_DISK } from '../journal/mount.ts'
import { handClock, lives } from './lives.ts'
import { outline } from './same.ts'

const ROUNDS = Math.ceil(Number(process.env['QUIPU_CRASHES'] ?? 400) / 10)
const ROUNDS_A_JOURNAL = 20

t.test(
  `in ${ROUNDS} crashes no snapshot is of a fact that was lost, and each comes to what all facts come to`,
  { timeout: 30_000 + ROUNDS * 1_000 },
  async t => {
    const { seed, below } = chance()
    t.comment(`SEED=${seed}`)
    const root = mkdtempSync(join(tmpdir(), 'quipu-snapshots-'))
    t.teardown(() => rmSync(root, { recursive: true, force: true }))
    const time = { now: Date.UTC(2026, 10, 1) }
    const clock = virtualClock({ seed })
    const told = { facts: 0, lost: 0, used: 0, taken: 0, none: 0, cutOff: 0 }
    let disk = new Disk('none', { clock })
    let dir = root

    for (let round = 0; round < ROUNDS; round += 1) {
      if (round % ROUNDS_A_JOURNAL === 0) {
        dir = join(root, `${round}`)
        disk = new Disk(`journal ${round}`, {
          clock,
          syncMs: () => below(20),
          fault: call =>
            call === 'write' && below(12) === 0 ? { says: 'full', keeps: below(2) === 0 } : undefined,
        })
      }
      const { journal, engine, snapshots, used, state } = await open(disk, dir)
      const replayed = await open(disk, join(root, 'nowhere'))
      if (state() !== replayed.state())
        t.fail(`round ${round}: with the snapshot of fact ${used} it is another state`)
      if (used > 0) told.used += 1
      else told.none += 1
      const before = journal.durable
      const step = lives({ engine, time, seed: seed + round })
      const taken: Promise<void>[] = []
      for (let turn = 5 + below(60); turn > 0; turn -= 1) {
        for (let i = 1 + below(8); i > 0; i -= 1) step()
        if (below(12) === 0) taken.push(snapshots.take())
        if (below(3) > 0) await clock.advance(below(3) === 0 ? below(1_200) : below(20))
      }
      // A process that dies writes nothing more; files of this one that are under way come to their end.
      told.facts += journal.head.seq - before
      disk.crash(batches => below(batches + 1))
      told.lost += journal.head.seq - disk.synced.length
      await Promise.race([Promise.all(taken), new Promise(resolve => setTimeout(resolve, 20))])
      told.taken += snapshots.figures.written
      if (below(3) === 0) told.cutOff += cutOff(dir, below)
    }
    t.comment(told)
    t.ok(
      told.lost > 0 && told.taken > 0 && told.used > 0,
      'there was something to lose, and something to use',
    )
  },
)

/** As a house opens them. */
async function open(disk: Disk, dir: string) {
  const clock = handClock({ now: Date.UTC(2026, 10, 1) })
  const journal: Journal = await disk.open()
  const warnings: string[] = []
  const snapshots = new Snapshots({
    dir,
    journal,
    clock,
    everyFacts: 1_000_000,
    // None is written while the journal is not; but each that was can be used.
    warn: message => warnings.push(message),
  })
  const snapshot = await snapshots.newest()
  if (warnings.length > 0) throw new Error(warnings.join(', '))
  const answers = views(snapshot?.views)
  const engine = new Engine(journal, clock, Object.values(answers))
  await engine.replay({ from: snapshot })
  snapshots.start(engine, answers)
  const state = (): string => {
    const streams = Object.values(engine.streams()).flat()
    return [...Object.entries(statesOf(answers)), ...streams, engine.position].map(outline).join('\n')
  }
  return { journal, engine, snapshots, used: snapshot?.seq ?? 0, state }
}

/** What a crash leaves of a snapshot that was being written: the draft, up to any byte. */
function cutOff(dir: string, below: (limit: number) => number): number {
  const folder = join(dir, 'snapshots')
  mkdirSync(folder, { recursive: true })
  const [name] = readdirSync(folder).filter(name => name.endsWith('.snapshot'))
  if (name === undefined) return 0
  const bytes = readFileSync(join(folder, name))
  writeFileSync(
    join(folder, `${String(below(5_000)).padStart(16, '0')}.snapshot.new`),
    bytes.subarray(0, below(bytes.length)),
  )
  return 1
}

t.test('a full disk takes no snapshot, and keeps the one before', { skip: NO_DISK }, async t => {
  const { disk, unmount } = mount(2)!
  t.teardown(unmount)
  const label = { fingerprint: 'f', journal: 'j', hash: 'h', latestAt: 1 }
  const [first, second] = [1, 2].map(seq => join(disk, `${seq}.snapshot`)) as [string, string]
  await writeSnapshot(first, { ...label, seq: 1 }, Buffer.alloc(1_000_000))
  await t.rejects(writeSnapshot(second, { ...label, seq: 2 }, Buffer.alloc(2_000_000)), { code: 'ENOSPC' })
  t.same(readdirSync(disk), ['1.snapshot'], 'and nothing of the new one takes room')
  t.equal((await readSnapshot(first)).label.seq, 1)
})
