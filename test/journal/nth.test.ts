/**
 * A disk that fails at the Nth call, for every N: what is told, what is kept, and that it goes on. A table of faults under
 * the journal's Store, in virtual time; faults.test.ts has the same from real disks. QUIPU_NTH=300 makes it longer.
 */
import t from 'tap'
import { virtualClock } from '../../src/clock.ts'
import { Failure } from '../../src/failure.ts'
import { type Call, Disk, type Fault } from './disk.ts'
import { all, chance, fact } from './facts.ts'

const N = Number(process.env['QUIPU_NTH'] ?? 40)
const ENOSPC = 'IO error: No space left on device'
const EIO = 'IO error: Input/output error'

interface Row {
  readonly what: string
  /** How the disk fails around the `n`th call. */
  readonly fault: (n: number) => (call: Call, nth: number) => Fault | undefined
  /** Who waited for the disk then was told that nobody knows. */
  readonly tells: boolean
}

const at =
  (wanted: Call, fault: Fault, times = 1) =>
  (n: number) =>
  (call: Call, nth: number) =>
    call === wanted && nth >= n && nth < n + times ? fault : undefined

const ROWS: readonly Row[] = [
  {
    what: 'no room for the Nth write, which is torn and dropped',
    fault: at('write', { says: ENOSPC }),
    tells: true,
  },
  {
    what: 'the Nth sync fails, and all of it was written',
    fault: at('write', { says: EIO, keeps: true }),
    tells: true,
  },
  {
    what: 'the Nth write fails, and the four after it, some kept and some not',
    fault: n => (call, nth) =>
      call === 'write' && nth >= n && nth < n + 5 ? { says: EIO, keeps: nth % 2 === 0 } : undefined,
    tells: true,
  },
  {
    what: 'the Nth write fails, and the disk cannot be opened six times',
    fault: n => (call, nth) =>
      call === 'write'
        ? at('write', { says: ENOSPC, keeps: true })(n)(call, nth)
        : at('reopen', { says: EIO }, 6)(1)(call, nth),
    tells: true,
  },
  {
    what: 'every third write fails',
    fault: n => (call, nth) =>
      call === 'write' && nth % 3 === n % 3 ? { says: EIO, keeps: nth % 2 === 0 } : undefined,
    tells: true,
  },
  { what: 'the Nth read fails', fault: at('page', { says: EIO }), tells: false },
]

for (const { what, fault, tells } of ROWS) {
  t.test(`${what}, for each N up to ${N}`, { timeout: 30_000 + N * 500 }, async t => {
    const { seed, below } = chance()
    t.comment(`SEED=${seed}`)
    let met = 0
    let unknown = 0
    for (let n = 1; n <= N; n += 1) {
      const clock = virtualClock({ seed: seed + n })
      const failing = fault(n)
      const disk = new Disk(`${n}`, {
        clock,
        fault(call, nth) {
          const found = failing(call, nth)
          if (found !== undefined) met += 1
          return found
        },
      })
      const journal = await disk.open()
      let staged = 0
      for (let turn = 0; turn < 2 * n + 8; turn += 1) {
        staged += journal.stage(
          'node',
          'shed',
          Array.from({ length: 1 + below(3) }, () => fact({ turn })),
        ).length
        const { seq } = journal.head
        journal.flushed().then(
          () => {
            if (disk.synced.length < seq) t.fail(`N=${n}: ${seq} was acknowledged, and is not there`)
          },
          (error: Failure) => {
            unknown += 1
            if (error.code !== 'journal.unwritable') t.fail(`N=${n}: ${error.message}`)
          },
        )
        await clock.advance(below(5))
        const after = Math.max(0, journal.durable - 20)
        const read = await all(journal, { after }).catch((error: Failure) => error)
        if (read instanceof Failure) {
          if (tells || read.code !== 'journal.broken') t.fail(`N=${n}: a read said ${read.message}`)
        } else if (read.length !== journal.durable - after)
          t.fail(`N=${n}: ${read.length} read of the last ${journal.durable - after}`)
      }
      // As many seconds as six failures in a row take.
      await clock.advance(200_000)
      if (journal.durable !== staged) t.fail(`N=${n}: ${journal.durable} of ${staged} are written in the end`)
      if (disk.synced.length !== staged) t.fail(`N=${n}: ${disk.synced.length} are on the disk, of ${staged}`)
      await journal.close()
      const again = await disk.open()
      const entries = await all(again).catch(() => all(again))
      if (entries.length !== staged) t.fail(`N=${n}: ${entries.length} of ${staged} are read after a start`)
    }
    t.comment({ met, unknown })
    t.ok(met >= N, 'each N failed')
    t.equal(unknown > 0, tells)
  })
}
