/** Killed while it seals and while it trims, again and again: every fact that was told durable is read, and once. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { hashOf, originOf, verify } from '../../src/journal/chain.ts'
import { chance, texts } from '../journal/facts.ts'
import { folder, outcome, stage } from './stage.ts'

const ROUNDS = Number(process.env.QUIPU_KILL_ROUNDS ?? 8)

t.setTimeout(60_000 + ROUNDS * 10_000)

t.test(
  `${ROUNDS} times killed while it archives and trims`,
  { timeout: 60_000 + ROUNDS * 10_000 },
  async t => {
    const { seed, random } = chance()
    t.comment(`SEED=${seed}`)
    const dir = folder(t)
    let durable = 0
    let trimmed = 0
    const cut = { sealing: 0, trimming: 0 }
    let known: string[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      const child = spawn(process.execPath, ['test/archive/keeper.ts', dir, String(seed + round)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let said = ''
      child.stdout.on('data', chunk => {
        said += chunk
      })
      // So many of its steps later, and a moment: not after a time, which a slow machine needs to come to its first step.
      const steps = Math.floor(random() * 8)
      const due = (): boolean =>
        (said.match(/^(sealed|trimming|trimmed)/gm) ?? []).length >= steps &&
        // At least one is killed after it had trimmed.
        (round < ROUNDS - 1 || trimmed > 0 || /^trimmed [1-9]/m.test(said))
      while (!(said.includes('open') && due()) && child.exitCode === null)
        await new Promise(resolve => setTimeout(resolve, 1))
      await new Promise(resolve => setTimeout(resolve, random() * 30))
      child.kill('SIGKILL')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      t.equal(child.signalCode, 'SIGKILL', 'it had not ended by itself')
      const last =
        said
          .trimEnd()
          .split('\n')
          .findLast(line => !line.startsWith('durable')) ?? ''
      if (last === 'trimming') cut.trimming += 1
      else cut.sealing += 1
      durable = Math.max(durable, ...[...said.matchAll(/durable (\d+)/g)].map(([, seq]) => Number(seq)))
      trimmed = Math.max(trimmed, ...[...said.matchAll(/trimmed (\d+)/g)].map(([, seq]) => Number(seq)))

      // As the next house finds it: nobody has tidied up yet.
      const s = await stage({ dir, start: round % 2 === 0 })
      t.ok(s.journal.durable >= durable, `${s.journal.durable} of ${durable} facts`)
      t.ok(s.journal.base.seq >= trimmed)
      const records = await texts(s.journal)
      t.equal(records.length, s.journal.durable)
      t.strictSame(records.slice(0, known.length), known, 'what was read before reads the same')
      let hash = originOf(s.journal.id)
      for (const [index, record] of records.entries()) hash = verify(record, index + 1, hash)
      t.equal(hash, s.journal.head.hash)
      known = records
      await s.close()
    }
    t.comment(`${durable} facts, trimmed up to ${trimmed}, cut off in ${JSON.stringify(cut)}`)
    t.ok(trimmed > 0, 'something was trimmed')
    const s = await stage({ dir })
    s.archivist.seal({ seq: s.journal.durable + 1 }, 'cli')
    t.match(await outcome(s), { state: 'done' })
    s.archivist.trim({ seq: s.journal.durable + 1 }, 'cli')
    t.match(await outcome(s), { state: 'done' })
    t.strictSame((await texts(s.journal)).slice(0, known.length), known)
    t.equal(hashOf((await texts(s.journal)).at(-1)!), s.journal.head.hash)
    await s.close()
  },
)
