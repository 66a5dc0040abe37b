/**
 * How many facts a second the journal makes durable, beside a bare LevelDB loop that writes the same bytes in
 * batches of the same size, in turns with it; and how many it reads back, verified.
 *
 *   node test/bench/journal.ts
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Level } from 'level'
import { systemClock as clock } from '../../src/clock.ts'
import type { Journal, Staged } from '../../src/journal/journal.ts'
import { openLevelJournal } from '../../src/journal/level.ts'

export interface Row {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly note?: string
}

/** Short turns, many of them: the disk's mood changes by the second, and both are to meet the same. */
const TURNS = 12
const TURN_MS = 250
const READ_FACTS = 100_000
const READ_TURNS = 5

/** One request's life, as the house writes it: 4 facts, 325 bytes a record on average. */
const life: readonly Omit<Staged, 'at'>[] = [
  {
    type: 'request.admitted',
    by: '10.0.0.7',
    data: {
      path: '/api/chat',
      model: 'llama3.2:3b',
      client: '10.0.0.7',
      priority: 0,
      bodyBytes: 1234,
      expiresAt: 1_767_225_900_000,
      attemptsMax: 3,
    },
  },
  {
    type: 'request.assigned',
    by: 'scheduler',
    data: {
      node: 'shed',
      attempt: 1,
      candidates: [
        { node: 'shed', resident: true, idle: 2, estimateMs: 12 },
        { node: 'attic', resident: false, idle: 4, estimateMs: 4012 },
        { node: 'cellar', resident: false, idle: 0, estimateMs: null, excluded: 'full' },
      ],
    },
  },
  { type: 'request.begun', by: 'relay', data: { node: 'shed', status: 200, ttftMs: 123 } },
  {
    type: 'request.completed',
    by: 'relay',
    data: {
      node: 'shed',
      status: 200,
      totalMs: 2345,
      bytes: 12345,
      chunks: 98,
      promptTokens: 20,
      outputTokens: 98,
      loadMs: 1,
      promptMs: 20,
      outputMs: 1200,
      doneReason: 'stop',
    },
  },
]

export async function journalBench(): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-bench-'))
  try {
    return [
      ...(await writing(join(dir, 'one'), 1)),
      ...(await writing(join(dir, 'many'), 64)),
      ...(await reading(join(dir, 'reading'))),
    ]
  } finally {
    await rm(dir, { recursive: true })
  }
}

async function writing(dir: string, writers: number): Promise<Row[]> {
  const journal = await openLevelJournal({ dir, clock, create: true })
  const level = new Level<Buffer, string>(`${dir}-bare`, { keyEncoding: 'buffer', valueEncoding: 'utf8' })
  await level.open()
  const ours = { facts: 0, ms: 0, waits: [] as number[] }
  const bare = { facts: 0, ms: 0 }
  const sizes: number[] = []
  for (let turn = 0; turn < TURNS; turn += 1) {
    const before = journal.durable
    const { ms, waits, batches } = await journalTurn(journal, writers)
    const facts = journal.durable - before
    const size = Math.round(facts / batches)
    const records: string[] = []
    for await (const page of journal.records({ after: before })) records.push(...page)
    const bareMs = await bareTurn(level, before, records, size)
    // The first turn warms up.
    if (turn === 0) continue
    ours.facts += facts
    ours.ms += ms
    ours.waits.push(...waits)
    sizes.push(size)
    bare.facts += records.length
    bare.ms += bareMs
  }
  await journal.close()
  await level.close()
  ours.waits.sort((a, b) => a - b)
  const wait = (part: number): string => `${ours.waits[Math.floor(ours.waits.length * part)]!.toFixed(2)} ms`
  const perSecond = ({ facts, ms }: { facts: number; ms: number }): number => Math.round((facts / ms) * 1_000)
  const who = writers === 1 ? '1 writer' : `${writers} writers`
  return [
    {
      name: `journal, durable, ${who}`,
      value: perSecond(ours),
      unit: 'facts/s',
      note: `p50 ${wait(0.5)}, p99 ${wait(0.99)}`,
    },
    {
      name: `bare LevelDB, ${who}`,
      value: perSecond(bare),
      unit: 'facts/s',
      note: `the same texts in batches of ${middle(sizes)}`,
    },
    {
      name: `journal to bare LevelDB, ${who}`,
      value: Number((perSecond(ours) / perSecond(bare)).toFixed(2)),
      unit: '×',
      note: 'goal: 0.7 with 64',
    },
  ]
}

/** Each writer stages one fact and waits for the disk, again and again. */
async function journalTurn(
  journal: Journal,
  writers: number,
): Promise<{ ms: number; waits: number[]; batches: number }> {
  let batches = 0
  const unwatch = journal.watch(() => {
    batches += 1
  })
  const waits: number[] = []
  const start = performance.now()
  const end = start + TURN_MS
  await Promise.all(
    Array.from({ length: writers }, async (_, writer) => {
      const id = `01KDVDNA${writer}`.padEnd(26, '0')
      for (let turn = writer, asked = start; asked < end; turn += 1) {
        journal.stage('request', id, [{ at: 1_767_225_600_000 + turn, ...life[turn % 4]! } as Staged])
        await journal.flushed()
        const told = performance.now()
        waits.push(told - asked)
        asked = told
      }
    }),
  )
  unwatch()
  return { ms: performance.now() - start, waits, batches }
}

async function bareTurn(
  level: Level<Buffer, string>,
  before: number,
  records: readonly string[],
  size: number,
): Promise<number> {
  const batches: { type: 'put'; key: Buffer; value: string }[][] = []
  for (const [index, value] of records.entries()) {
    const key = Buffer.alloc(8)
    key.writeUInt32BE(before + index + 1, 4)
    if (index % size === 0) batches.push([])
    batches.at(-1)!.push({ type: 'put', key, value })
  }
  const start = performance.now()
  for (const batch of batches) await level.batch(batch, { sync: true })
  return performance.now() - start
}

async function reading(dir: string): Promise<Row[]> {
  let journal = await openLevelJournal({ dir, clock, create: true })
  for (let turn = 0; turn < READ_FACTS; turn += 4) {
    const facts = life.map(fact => ({ at: 1_767_225_600_000 + turn, ...fact }) as Staged)
    journal.stage('request', turn.toString(36).padStart(26, '0'), facts)
    if (journal.head.seq - journal.durable > 4_000) await journal.flushed()
  }
  await journal.close()
  const start = performance.now()
  journal = await openLevelJournal({ dir, clock })
  const openMs = performance.now() - start
  const rates = { read: [] as number[], records: [] as number[] }
  for (let turn = 0; turn < READ_TURNS; turn += 1) {
    for (const how of ['read', 'records'] as const) {
      const start = performance.now()
      let count = 0
      for await (const page of journal[how]()) count += page.length
      rates[how].push(Math.round((count / (performance.now() - start)) * 1_000))
    }
  }
  await journal.close()
  return [
    { name: 'journal, opened', value: Math.round(openMs), unit: 'ms', note: `${READ_FACTS} facts` },
    {
      name: 'journal, read and verified',
      value: middle(rates.read),
      unit: 'facts/s',
      note: 'as a replay does',
    },
    {
      name: 'journal, verified',
      value: middle(rates.records),
      unit: 'facts/s',
      note: 'unparsed, as an audit does',
    },
  ]
}

function middle(list: readonly number[]): number {
  return [...list].sort((a, b) => a - b)[list.length >> 1]!
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const { name, value, unit, note = '' } of await journalBench()) {
    console.log(`${name.padEnd(38)} ${String(value).padStart(9)} ${unit.padEnd(8)} ${note}`)
  }
}
