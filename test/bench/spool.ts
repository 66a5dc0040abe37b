/**
 * What it costs to keep a body: parts put alone and many at once, beside bare files that are written, synced, renamed
 * and synced into their folder one by one, with no key and in plain, in turns with them; then large parts, and proving.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock as clock } from '../../src/clock.ts'
import type { Spool } from '../../src/spool/spool.ts'
import { openSpool } from '../../src/spool/store.ts'
import { median, percentile, type Row } from './row.ts'

const BODY = randomBytes(2_000)
const PUTS = 1_000
const TURNS = 5
const LARGE = randomBytes(67_108_864)

export async function spoolBench(): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-bench-'))
  try {
    const spool = await openSpool({ dir, clock })
    return [...(await small(dir, spool)), ...(await large(dir, spool))]
  } finally {
    await rm(dir, { recursive: true })
  }
}

async function small(dir: string, spool: Spool): Promise<Row[]> {
  const bare = join(dir, 'bare')
  await mkdir(bare)
  const alone: number[] = []
  const together: number[] = []
  const bareAlone: number[] = []
  const bareTogether: number[] = []
  const each: number[] = []
  const put = async (): Promise<void> => {
    const began = performance.now()
    await spool.put(clock.id(), 'body', {}, BODY)
    each.push(performance.now() - began)
  }
  const many = (one: () => Promise<void>): Promise<unknown> => Promise.all(Array.from({ length: PUTS }, one))
  for (let turn = 0; turn < TURNS; turn += 1) {
    for (let i = 0; i < 20; i += 1) {
      alone.push(await took(put))
      bareAlone.push(await took(() => bareFile(bare)))
    }
    each.length = 0
    together.push(await took(() => many(put)))
    bareTogether.push(await took(() => many(() => bareFile(bare))))
  }
  const [rate, bareRate] = [together, bareTogether].map(ms => (PUTS / median(ms)) * 1_000) as [number, number]
  return [
    {
      name: 'put of 2 KB, alone',
      value: median(alone),
      unit: 'ms',
      note: `bare file ${median(bareAlone).toFixed(2)} ms`,
    },
    {
      name: `puts of 2 KB, ${PUTS} at once`,
      value: rate,
      unit: '/s',
      note: `p50 ${median(each).toFixed(0)} ms, p99 ${percentile(each, 0.99).toFixed(0)} ms of the last ${PUTS}`,
    },
    { name: `bare files of 2 KB, ${PUTS} at once`, value: bareRate, unit: '/s' },
    { name: 'puts to bare files', value: rate / bareRate, unit: '×' },
  ]
}

async function large(dir: string, spool: Spool): Promise<Row[]> {
  const rate = (ms: readonly number[]): number => (LARGE.length / 1e6 / median(ms)) * 1_000
  const puts: number[] = []
  const reads: number[] = []
  const follows: number[] = []
  for (let turn = 0; turn < TURNS; turn += 1) {
    const id = `L${turn}`
    puts.push(await took(() => spool.put(id, 'body', {}, LARGE)))
    reads.push(await took(() => spool.read(id, 'body')))
    follows.push(
      await took(async () => {
        for await (const _ of spool.follow(id, 'body', 0, new AbortController().signal));
      }),
    )
  }
  await spool.close()
  let again = spool
  const opening = await took(async () => {
    again = await openSpool({ dir, clock })
  })
  const { items, bytes } = again.usage
  const ids = again.items().map(({ id }) => id)
  const proving = await took(() => again.eraseAndProve(['L0'], dir))
  const erasing = await took(() => again.erase(ids))
  await again.close()
  return [
    { name: 'put of 64 MB', value: rate(puts), unit: 'MB/s' },
    { name: 'read of 64 MB, verified', value: rate(reads), unit: 'MB/s' },
    { name: 'followed, verified', value: rate(follows), unit: 'MB/s' },
    { name: 'opened', value: opening, unit: 'ms', note: `${items} items, ${Math.round(bytes / 1e6)} MB` },
    {
      name: 'one item erased and proved',
      value: proving,
      unit: 'ms',
      note: 'every byte of the folder looked at',
    },
    { name: 'all erased', value: erasing, unit: 'ms', note: `${ids.length - 1} items` },
  ]
}

async function bareFile(dir: string): Promise<void> {
  const path = join(dir, clock.id())
  const file = await open(`${path}.open`, 'w', 0o600)
  await file.write(BODY)
  await file.datasync()
  await file.close()
  await rename(`${path}.open`, path)
  const folder = await open(dir)
  await folder.sync()
  await folder.close()
}

async function took(deed: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await deed()
  return performance.now() - began
}
