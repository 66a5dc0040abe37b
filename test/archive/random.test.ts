/** Whatever is sealed, trimmed, reopened, damaged or carried away in whatever order: read whole, or refused by name. */
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { Failure } from '../../src/failure.ts'
import { all, chance, failure, texts } from '../journal/facts.ts'
import { folder, outcome, stage } from './stage.ts'

const WALKS = 4
const STEPS = 14

t.setTimeout(240_000)

t.test(
  `${WALKS} walks of ${STEPS} steps each end with the journal they would have had`,
  { timeout: 240_000 },
  async t => {
    const { seed, below } = chance()
    t.comment(`SEED=${seed}`)
    for (let walk = 0; walk < WALKS; walk += 1) {
      const dir = folder(t)
      let s = await stage({ dir })
      let known: string[] = []
      const path: string[] = []
      const steps: Record<string, () => Promise<void>> = {
        grow: () => s.grow(1 + below(1_500)),
        seal: async () => {
          s.archivist.seal({ seq: 1 + below(s.journal.durable + 2) }, 'walk')
          const work = await outcome(s)
          if (work.state !== 'done') t.fail(String(work.error))
        },
        trim: async () => {
          const { files } = s.archive.state
          if (files.length === 0) return
          s.archivist.trim({ seq: files[below(files.length)]!.last + 1 + below(3) }, 'walk')
          const work = await outcome(s)
          if (work.state !== 'done') t.fail(String(work.error))
        },
        reopen: async () => {
          await s.close()
          s = await stage({ dir })
        },
        'carry away': async () => {
          const { files, trimmed } = s.archive.state
          const gone = files.filter(({ last }) => last <= (trimmed?.until ?? 0))
          const file = gone[below(Math.max(1, gone.length))]
          if (file === undefined) return
          const from = join(dir, 'archive', file.file)
          renameSync(from, `${from}.away`)
          const error = await failure(() => texts(s.journal))
          if (error.code !== 'archive.missing' || !error.message.includes(file.file)) t.fail(error.message)
          const { seq } = s.journal.base
          t.equal((await all(s.journal, { after: seq })).length, s.journal.durable - seq)
          await s.close()
          await t.rejects(stage({ dir }), Failure)
          renameSync(`${from}.away`, from)
          s = await stage({ dir })
        },
      }
      for (let step = 0; step < STEPS; step += 1) {
        const name = step === 0 ? 'grow' : Object.keys(steps)[below(5)]!
        path.push(name)
        await steps[name]!()
        const records = await texts(s.journal)
        t.equal(records.length, s.journal.durable, path.join(', '))
        t.strictSame(records.slice(0, known.length), known)
        known = records
        const [after, until] = [below(records.length), below(records.length)]
        const seqs = (await all(s.journal, { after, until })).map(({ seq }) => seq)
        t.same(
          seqs,
          Array.from({ length: Math.max(0, until - after) }, (_, i) => after + 1 + i),
        )
      }
      const stands = new Map(s.archive.state.files.map(({ file, last }) => [file, last]))
      const { trimmed } = s.archive.state
      await s.close()
      s = await stage({ dir })
      t.same(new Map(s.archive.state.files.map(({ file, last }) => [file, last])), stands)
      t.same(s.archive.state.trimmed, trimmed)
      await s.close()
    }
  },
)
