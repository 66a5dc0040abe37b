/** What the driver amdgpu showed on real machines, and what AMD's programs printed there. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { isProcessors, readAmd, tooHot } from '../../../src/agent/hardware/amd.ts'
import type { Roots } from '../../../src/agent/hardware/files.ts'
import type { Found } from '../../../src/agent/hardware/gpus.ts'
import { openBus } from '../../../src/agent/hardware/pci.ts'
import { ekeOut, parseAmdSmi, parseRocmSmi } from '../../../src/agent/hardware/rocm.ts'
import { fixture, machineRoots } from './sys.ts'

const GIB = 1_024 ** 3

async function read(roots: Roots, memoryBytes?: number): Promise<Found> {
  const cards = (await openBus(roots, () => 0).cards()) ?? []
  return await readAmd(
    roots,
    cards.filter(({ vendor }) => vendor === 'amd'),
    memoryBytes,
  )
}

/** gpu_metrics of a card (1.3, 120 bytes) or of a processor (2.2, 128 bytes). */
function metrics(format: '1.3' | '2.2', { hotspotC = 41, status = 0n } = {}): Buffer {
  const bytes = Buffer.alloc(format === '1.3' ? 120 : 128)
  bytes.writeUInt16LE(bytes.length, 0)
  bytes.set(format.split('.').map(Number), 2)
  if (format === '1.3')
    for (const at of [4, 6, 8, 10, 12, 14]) bytes.writeUInt16LE(at === 6 ? hotspotC : 38, at)
  bytes.writeBigUInt64LE(status, format === '1.3' ? 112 : 120)
  return bytes
}
const HOTSPOT = 1n << 36n
const PACKAGE_POWER = 1n << 0n

t.test('a card, named by a list that the distribution brings along', async t => {
  const roots = await machineRoots(t, {
    sys: [
      await fixture('amd/rx6800.sys'),
      `bus/pci/devices/0000:03:00.0/gpu_metrics : ${metrics('1.3').toString('hex')}`,
    ],
    root: 'usr/share/libdrm/amdgpu.ids = # List of AMDGPU IDs\\n1.0.0\\n73BF,\tC0,\tAMD Radeon RX 6900 XT\\n73BF,\tC1,\tAMD Radeon RX 6800 XT',
  })
  const { gpus, loads, known } = await read(roots, 64 * GIB)
  t.equal(known, true)
  t.same(gpus, [
    {
      id: '0000:03:00.0',
      vendor: 'amd',
      model: 'AMD Radeon RX 6800 XT',
      unified: false,
      driver: 'amdgpu',
      memoryBytes: 17_163_091_968,
    },
  ])
  t.same(loads, [
    {
      id: '0000:03:00.0',
      utilisation: 0.42,
      memoryUsedBytes: 692_142_080,
      throttled: false,
      temperatureC: 57,
      powerW: 18,
      powerLimitW: 220,
    },
  ])
})

t.test(
  'a processor’s GPU may use what was cut out for it, and the rest of the memory, and no more',
  async t => {
    const roots = await machineRoots(t, {
      sys: [
        await fixture('amd/strix-halo.sys'),
        `bus/pci/devices/0000:c3:00.0/gpu_metrics : ${metrics('2.2').toString('hex')}`,
      ],
    })
    const memory = 124 * GIB
    const { gpus, loads } = await read(roots, memory)
    t.match(gpus[0], { unified: true, memoryBytes: memory + 536_870_912, model: '' })
    t.match(loads[0], { utilisation: 0.97, memoryUsedBytes: 477_102_080 + 67_645_734_912, temperatureC: 61 })
    t.notOk('powerLimitW' in loads[0]!, 'a limit of 0 is none')
    const unsaid = await read(roots)
    t.equal(unsaid.gpus[0]!.memoryBytes, 137_438_953_472 + 536_870_912, 'whose machine does not say')
  },
)

t.test('a Ryzen’s small GPU beside a card is told apart, also where no metrics say so', async t => {
  const roots = await machineRoots(t, {
    sys: [await fixture('amd/rx6800.sys'), await fixture('amd/raphael.sys')].map(text =>
      text.replace(/^bus\/pci\/drivers.*$/m, ''),
    ),
  })
  const { gpus } = await read(roots, 31 * GIB)
  t.same(
    gpus.map(({ id, unified }) => [id, unified]),
    [
      ['0000:03:00.0', false],
      ['0000:0f:00.0', true],
    ],
  )
})

t.test('an accelerator without a display, named by itself', async t => {
  const { gpus, loads } = await read(
    await machineRoots(t, { sys: [await fixture('amd/mi300x.sys')] }),
    2_000 * GIB,
  )
  t.match(gpus, [
    {
      model: 'AMD Instinct MI300X VF',
      driver: 'amdgpu 6.12.12',
      memoryBytes: 206_141_652_992,
      unified: false,
    },
  ])
  t.match(loads, [{ powerW: 191, powerLimitW: 750, temperatureC: 39, utilisation: 0 }])
  t.notOk('throttled' in loads[0]!)
})

t.test('a card that sleeps is left asleep', async t => {
  const { gpus, loads } = await read(
    await machineRoots(t, { sys: [await fixture('amd/rx7900xtx-asleep.sys')] }),
    31 * GIB,
  )
  t.equal(gpus[0]!.memoryBytes, 25_753_026_560)
  t.same(loads, [{ id: '0000:0b:00.0' }])
})

t.test('whatever cannot be read is unknown: each file missing, or a folder in its place', async t => {
  const listing = await fixture('amd/rx6800.sys')
  const files = [...listing.matchAll(/^(bus\/pci\/devices\/0000:03:00\.0\/\S+) =/gm)].map(([, path]) => path!)
  t.ok(files.length > 8)
  for (const file of files) {
    const roots = await machineRoots(t, { sys: [listing] })
    await rm(join(roots.sys, file))
    const without = await read(roots)
    await mkdir(join(roots.sys, file))
    t.same(await read(roots), without, file)
    for (const load of without.loads)
      for (const [name, value] of Object.entries(load)) t.ok(name === 'id' || value > 0, `${file}: ${name}`)
  }
  const roots = await machineRoots(t, { sys: [listing] })
  await rm(join(roots.sys, 'bus/pci/devices/0000:03:00.0/mem_info_vram_total'))
  t.notOk('memoryBytes' in (await read(roots)).gpus[0]!)
})

t.test('a card without a driver is named, and known to be unknown', async t => {
  const listing = (await fixture('amd/rx6800.sys')).replace(/^.* -> .*$/m, '')
  const { gpus, known } = await read(await machineRoots(t, { sys: [listing] }))
  t.equal(known, false)
  t.match(gpus, [{ driver: '', vendor: 'amd' }])
})

t.test('a card that was handed to a virtual machine is not of this one', async t => {
  const listing = (await fixture('amd/rx6800.sys')).replace('drivers/amdgpu', 'drivers/vfio-pci')
  t.same(await read(await machineRoots(t, { sys: [listing] })), { gpus: [], loads: [], known: true })
})

t.test('too hot is what says so and is: Navi 31 says so at rest', async t => {
  t.equal(tooHot(metrics('1.3', { status: HOTSPOT, hotspotC: 41 })), false)
  t.equal(tooHot(metrics('1.3', { status: HOTSPOT, hotspotC: 108 })), true)
  t.equal(tooHot(metrics('1.3', { status: PACKAGE_POWER, hotspotC: 95 })), false, 'at its limit of power')
  t.equal(tooHot(metrics('2.2', { status: HOTSPOT })), true)
  t.equal(tooHot(metrics('2.2')), false)
  t.equal(tooHot(metrics('1.3', { status: 0xffff_ffff_ffff_ffffn })), undefined)
  t.equal(tooHot(metrics('1.3').subarray(0, 100)), undefined, 'cut short')
  t.equal(tooHot(Buffer.from([16, 0, 1, 4])), undefined, 'another format')
  t.equal(tooHot(Buffer.alloc(0)), undefined)
  t.same(
    [isProcessors(metrics('1.3')), isProcessors(metrics('2.2')), isProcessors(Buffer.alloc(0))],
    [false, true, false],
  )
})

t.test('rocm-smi of several versions tells the same', async t => {
  t.same(
    [...parseRocmSmi(await fixture('amd/rocm-smi-7900xt.out'))],
    [
      [
        '0000:0b:00.0',
        {
          model: 'Radeon RX 7900 XT',
          memoryBytes: 21_458_059_264,
          memoryUsedBytes: 27_856_896,
          utilisation: 0,
          temperatureC: 49,
          powerW: 19,
        },
      ],
    ],
  )
  const mi250 = parseRocmSmi(await fixture('amd/rocm-smi-mi250.out'))
  t.same([...mi250.keys()], ['0000:c9:00.0', '0000:ce:00.0'])
  t.match(mi250.get('0000:c9:00.0'), { utilisation: 1, temperatureC: 43, powerW: 128 })
  t.notOk('powerW' in mi250.get('0000:ce:00.0')!, 'the second die says that the first one knows')
  t.same(
    [...parseRocmSmi(await fixture('amd/rocm-smi-780m.out')).values()],
    [{ utilisation: 0.19, temperatureC: 31, powerW: 7.222 }],
  )
})

t.test('amd-smi tells a list, or an object with one, and a lot of N/A', async t => {
  const told = parseAmdSmi(await fixture('amd/amd-smi-static.out'), await fixture('amd/amd-smi-metric.out'))
  t.same(
    [...told],
    [
      [
        '0000:03:00.0',
        {
          model: 'AMD Radeon RX 7800 XT',
          memoryBytes: 16_368 * 1_048_576,
          memoryUsedBytes: 14_569 * 1_048_576,
          utilisation: 0.02,
          temperatureC: 41,
          powerW: 20,
          throttled: false,
        },
      ],
    ],
  )
  const apu = parseAmdSmi(
    await fixture('amd/amd-smi-static-list.out'),
    await fixture('amd/amd-smi-metric-apu.out'),
  )
  t.same([...apu], [['0000:c3:00.0', {}]])
})

t.test('no output of a tool is an exception', async t => {
  for (const text of [
    '',
    'Traceback (most recent call last):\n',
    '{',
    '[1, null, "a"]',
    '{"card0": null}',
    '{"gpu_data": 3}',
  ])
    t.same([[...parseRocmSmi(text)], [...parseAmdSmi(text, text)]], [[], []], text)
})

t.test('what the driver shows counts, and what it does not is eked out', async t => {
  const told = parseAmdSmi(await fixture('amd/amd-smi-static.out'), await fixture('amd/amd-smi-metric.out'))
  const gpu = { id: '0000:03:00.0', vendor: 'amd', unified: false, driver: 'amdgpu' }
  const found = ekeOut(
    { gpus: [{ ...gpu, model: '' }], loads: [{ id: gpu.id, utilisation: 0.5 }], known: true },
    told,
  )
  t.match(found.gpus, [{ model: 'AMD Radeon RX 7800 XT', memoryBytes: 16_368 * 1_048_576 }])
  t.match(found.loads, [{ utilisation: 0.5, temperatureC: 41 }])
  const named = ekeOut(
    { gpus: [{ ...gpu, model: 'mine', memoryBytes: 7 }], loads: [{ id: 'other' }], known: false },
    told,
  )
  t.match(named, { gpus: [{ model: 'mine', memoryBytes: 7 }], known: false })
  t.same(named.loads, [{ id: 'other' }])
})
