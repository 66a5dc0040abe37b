/** For how long a node has to be slow until it counts, and how long not until it does not. */
import t from 'tap'
import { EASE, EASY_MS, LASTING_MS, type Sample, strained, strainedBy } from '../../src/fleet/overload.ts'

const EVERY_MS = 5_000
const calm: Omit<Sample, 'at'> = {
  own: false,
  gpus: [{ utilisation: 0.02, temperatureC: 40, throttled: false }],
  cpu: 0.05,
  memoryBytes: 64e9,
  memoryFreeBytes: 40e9,
  swapUsedBytes: 0,
}

/** What each second-lasting stretch of samples leads to: `cause` or nothing, at the end of each. */
function told(...stretches: readonly (readonly [seconds: number, sample: Partial<Sample>])[]): string[] {
  let strain = EASE
  let at = 0
  return stretches.map(([seconds, sample]) => {
    for (const end = at + seconds * 1_000; at < end; at += EVERY_MS)
      strain = strained(strain, { ...calm, ...sample, at }, EVERY_MS)
    return strain.cause ?? ''
  })
}

const hot = { gpus: [{ throttled: true, temperatureC: 91 }] }
const braked = { gpus: [{ throttled: true, temperatureC: 55 }] }
const others = { gpus: [{ utilisation: 0.9 }] }
const busy = { cpu: 0.97 }
const full = { memoryFreeBytes: 1e9 }
const nothing: Partial<Sample> = {
  gpus: [],
  cpu: undefined,
  memoryBytes: undefined,
  memoryFreeBytes: undefined,
} as never

t.test('what lasts counts, and what passes does not', async t => {
  const table: readonly (readonly [string, Partial<Sample>, number, string])[] = [
    ['a calm machine', {}, 3_600, ''],
    ['hot for less than a minute', hot, 55, ''],
    ['hot for longer', hot, 70, 'heat'],
    ['hot, and nobody knows how hot', { gpus: [{ throttled: true }] }, 70, 'heat'],
    ['held back, and cool', braked, 70, 'power'],
    ['one of two GPUs is hot', { gpus: [{ throttled: false }, ...hot.gpus] }, 70, 'heat'],
    ['work of others for a minute', others, 70, ''],
    ['work of others for longer', others, 130, 'gpu'],
    ['one GPU of four is busy', { gpus: [0.9, 0.1, 0, 0].map(utilisation => ({ utilisation })) }, 300, ''],
    ['three of four', { gpus: [0.9, 0.9, 0.9, 0].map(utilisation => ({ utilisation })) }, 300, 'gpu'],
    ['CPU', busy, 130, 'cpu'],
    ['no memory left', full, 70, 'memory'],
    ['little left', { memoryFreeBytes: 5e9 }, 600, ''],
    ['much swapped, enough left', { swapUsedBytes: 30e9 }, 600, ''],
    ['little left, and much swapped', { memoryFreeBytes: 5e9, swapUsedBytes: 8e9 }, 70, 'memory'],
    ['the house works there', { ...others, ...busy, own: true }, 3_600, ''],
    ['the house works there, and it is hot', { ...hot, own: true }, 70, 'heat'],
    ['nothing is known', nothing, 3_600, ''],
  ]
  for (const [what, sample, seconds, cause] of table) t.same(told([seconds, sample]), [cause], what)
})

t.test('a clock that is held back comes and goes, and it is one heat', async t => {
  const pulses = Array.from(
    { length: 10 },
    () =>
      [
        [5, hot],
        [15, {}],
      ] as const,
  ).flat()
  t.equal(told(...pulses).at(-1), 'heat')
  const rare = Array.from(
    { length: 10 },
    () =>
      [
        [5, hot],
        [25, {}],
      ] as const,
  ).flat()
  t.equal(told(...rare).at(-1), '', 'half a minute without is another one')
})

t.test('it is over after three minutes without, and not sooner', async t => {
  t.same(told([70, hot], [170, {}], [5, hot], [175, {}], [10, {}]), ['heat', 'heat', 'heat', 'heat', ''])
  t.same(told([70, hot], [190, nothing]), ['heat', ''], 'silence cools, too')
  t.same(
    told([130, others], [190, { ...others, own: true }]),
    ['gpu', ''],
    'nobody can tell whose the load is',
  )
})

t.test('one cause at a time: the worst first, and it stays until it is over', async t => {
  t.same(told([130, { ...hot, ...full, cpu: 0.99 }]), ['heat'])
  t.same(told([130, busy], [130, { ...busy, ...hot }]), ['cpu', 'cpu'])
  t.same(told([130, busy], [300, hot]), ['cpu', 'heat'], 'then what is left')
})

t.test('where samples are rare, they are held together all the same', async t => {
  let strain = EASE
  for (let at = 0; at <= 120_000; at += 60_000) strain = strained(strain, { ...calm, ...hot, at }, 60_000)
  t.equal(strain.cause, 'heat')
})

t.test('it is known since when', async t => {
  let strain = EASE
  for (let at = 500; at <= 500 + LASTING_MS.heat; at += EVERY_MS)
    strain = strained(strain, { ...calm, ...hot, at }, EVERY_MS)
  t.equal(strain.seen.heat!.from, 500)
})

t.test('what the journal says holds for three minutes more', async t => {
  const known = strainedBy('memory', 1_000)
  t.equal(strained(known, { ...calm, at: 1_000 + EASY_MS }, EVERY_MS).cause, 'memory')
  t.equal(strained(known, { ...calm, at: 1_001 + EASY_MS }, EVERY_MS).cause, undefined)
  const seen = strained(known, { ...calm, ...full, at: 1_000 + EASY_MS }, EVERY_MS)
  t.equal(strained(seen, { ...calm, at: 1_000 + 2 * EASY_MS }, EVERY_MS).cause, 'memory')
})
