/** What Macs printed of their GPUs. */
import t from 'tap'
import { appleReader, parseAccelerators, parseProfile } from '../../../src/agent/hardware/apple.ts'
import { macName } from '../../../src/agent/hardware/system.ts'
import type { Tools } from '../../../src/agent/hardware/tools.ts'
import { fixture } from './sys.ts'

const GIB = 1_024 ** 3

t.test('Apple’s own GPU shares the memory, and may use the part that Metal recommends', async t => {
  const profile = await fixture('apple/m3-pro.out')
  t.same(parseProfile(profile, 36 * GIB), [
    {
      id: 'mac:0',
      vendor: 'apple',
      model: 'Apple M3 Pro',
      unified: true,
      driver: 'metal',
      memoryBytes: 27 * GIB,
    },
  ])
  const mib = (gib: number): number => parseProfile(profile, gib * GIB)[0]!.memoryBytes! / 1_048_576
  t.equal(mib(8).toFixed(2), '5461.33', '8 GB')
  t.equal(mib(32).toFixed(2), '21845.33', '32 GB')
  t.equal(mib(64), 49_152)
  t.notOk('memoryBytes' in parseProfile(profile)[0]!, 'of an unknown memory')
  t.equal(parseProfile(profile, 36 * GIB, '32768\n')[0]!.memoryBytes, 32 * GIB, 'what was set with sysctl')
  t.equal(parseProfile(profile, 36 * GIB, '0\n')[0]!.memoryBytes, 27 * GIB)
})

t.test('the first M1 was called by a key, and has a model beside', async t => {
  t.match(parseProfile(await fixture('apple/m1.out'), 16 * GIB), [{ model: 'Apple M1', vendor: 'apple' }])
})

t.test('an Intel Mac has two, and only one of them has memory of its own', async t => {
  t.match(parseProfile(await fixture('apple/intel-and-amd.out'), 16 * GIB), [
    { vendor: 'intel', model: 'Intel UHD Graphics 630', unified: true, memoryBytes: 1_536 * 1_048_576 },
    { vendor: 'amd', model: 'Radeon Pro 560X', unified: false, memoryBytes: 4 * GIB },
  ])
})

t.test('how busy they are stands in one line of ioreg each', async t => {
  const m1 = parseProfile(await fixture('apple/m1.out'))
  t.same(parseAccelerators(await fixture('apple/ioreg-m1-max.txt'), m1), [
    { id: 'mac:0', utilisation: 0.02, memoryUsedBytes: 340_983_808 },
  ])
  const two = parseProfile(await fixture('apple/intel-and-amd.out'))
  t.same(parseAccelerators(await fixture('apple/ioreg-intel-and-amd.txt'), two), [
    { id: 'mac:0', utilisation: 0.11 },
    { id: 'mac:1', utilisation: 0.07, memoryUsedBytes: 435_888_128, temperatureC: 52, powerW: 12 },
  ])
  for (const text of [
    '',
    '+-o ',
    '"PerformanceStatistics" = {}',
    '+-o AGX <>\n "PerformanceStatistics" = {}',
  ])
    t.same(parseAccelerators(text, two), [], text)
})

t.test(
  'the list is asked for seldom, how busy they are each time; where ioreg is silent, that is unknown',
  async t => {
    const profile = await fixture('apple/m3-pro.out')
    const figures = await fixture('apple/ioreg-m1-max.txt')
    const asked: string[] = []
    let silent = false
    const tools: Tools = {
      running: 0,
      find: async tool => `/usr/sbin/${tool}`,
      async run(tool) {
        asked.push(tool)
        if (tool === 'sysctl' || (tool === 'ioreg' && silent)) throw new Error('refused')
        return { stdout: tool === 'ioreg' ? figures : profile, stderr: '', exitCode: 0 }
      },
    }
    let now = 0
    const reader = appleReader(
      tools,
      () => 36 * GIB,
      () => now,
    )
    const signal = new AbortController().signal
    t.equal((await reader.read(signal)).loads[0]!.utilisation, 0.02)
    silent = true
    now = 10_000
    t.match(await reader.read(signal), { gpus: [{ memoryBytes: 27 * GIB }], loads: [], known: true })
    t.same(asked, ['system_profiler', 'sysctl', 'ioreg', 'ioreg'])
    now = 700_000
    await reader.read(signal)
    t.equal(asked.filter(tool => tool === 'system_profiler').length, 2)
  },
)

t.test('what is not a profile is an error, not a Mac without GPUs', async t => {
  for (const text of ['', '{}', 'null', '[]']) t.throws(() => parseProfile(text), text)
})

t.test('macOS by the name people know', async t => {
  t.equal(
    macName('ProductName:\t\tmacOS\nProductVersion:\t\t15.3.1\nBuildVersion:\t\t24D70\n'),
    'macOS 15.3.1',
  )
  t.equal(macName(''), undefined)
})
