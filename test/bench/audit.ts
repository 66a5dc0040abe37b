/**
 * How many facts a second an audit verifies: chain, charts, and the tree that was signed. In turns with what it did until
 * 0.2.0, which folded every projection, and with the reading of the chain alone. Processor time is told beside the
 * clock's, because an audit that shares its two cores with others says little by the clock.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { verify } from '../../src/cli/verification.ts'
import { systemClock as clock } from '../../src/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { openLevelJournal } from '../../src/journal/level.ts'
import { signers as signersOf } from '../../src/projections/signers.ts'
import { views } from '../../src/projections/views.ts'
import { Checkpoints } from '../../src/proofs/checkpoints.ts'
import { live } from './engine.ts'
import { median, type Row } from './row.ts'

const LIVES = 50_000
const ROUNDS = 3

export async function auditBench(): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-bench-'))
  try {
    const facts = await write(dir)
    const ways = { now: audited, before: replayed, chain: read } as const
    const spent = { now: [] as Spent[], before: [] as Spent[], chain: [] as Spent[] }
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const way of Object.keys(ways) as (keyof typeof ways)[])
        spent[way].push(await timed(() => ways[way](dir)))
    }
    const row = (name: string, way: keyof typeof ways, aim = ''): Row => {
      const cpu = median(spent[way].map(({ cpuUs }) => cpuUs)) / facts
      const rss = Math.max(...spent[way].map(({ rssBytes }) => rssBytes)) / 1e6
      return {
        name,
        value: facts / (median(spent[way].map(({ ms }) => ms)) / 1_000),
        unit: 'facts/s',
        note: `${cpu.toFixed(1)} µs of processor each, RSS ${Math.round(rss)} MB${aim}`,
      }
    }
    const ratio = median(spent.before.map(({ cpuUs }, i) => cpuUs / spent.now[i]!.cpuUs))
    return [
      row('audited: chain, charts, signed tree', 'now', '; aim: 400,000'),
      row('… as until 0.2.0: with every projection, without a tree', 'before'),
      row('… the chain alone', 'chain'),
      { name: 'processor time before to now', value: ratio, unit: '×' },
    ]
  } finally {
    await rm(dir, { recursive: true })
  }
}

interface Spent {
  readonly ms: number
  readonly cpuUs: number
  readonly rssBytes: number
}

async function timed(run: () => Promise<void>): Promise<Spent> {
  const before = process.cpuUsage()
  const began = performance.now()
  await run()
  const { user, system } = process.cpuUsage(before)
  return { ms: performance.now() - began, cpuUs: user + system, rssBytes: process.memoryUsage.rss() }
}

/** Signed, as a house leaves it. */
async function write(dir: string): Promise<number> {
  const journal = await openLevelJournal({ dir, clock, create: true })
  const signers = signersOf()
  const engine = new Engine(journal, clock, [signers])
  const warn = (message: string): void => console.error(message)
  const checkpoints = new Checkpoints({
    engine,
    journal,
    clock,
    signers,
    dir: join(dir, 'checkpoints'),
    warn,
  })
  await checkpoints.open()
  checkpoints.start()
  for (let i = 0; i < LIVES; i += 1) {
    live(engine, clock.id())
    if (i % 500 === 499) await engine.settled()
  }
  await engine.settled()
  await checkpoints.close()
  const facts = journal.durable
  await journal.close()
  return facts
}

async function audited(dir: string): Promise<void> {
  const { signed } = await verify({
    dir,
    archiveDir: join(dir, 'archive'),
    clock,
    signal: new AbortController().signal,
  })
  if ('why' in signed) throw new Error(signed.why)
}

async function replayed(dir: string): Promise<void> {
  const journal = await openLevelJournal({ dir, clock })
  await new Engine(journal, clock, Object.values(views())).replay()
  await journal.close()
}

async function read(dir: string): Promise<void> {
  const journal = await openLevelJournal({ dir, clock })
  for await (const _ of journal.records());
  await journal.close()
}
