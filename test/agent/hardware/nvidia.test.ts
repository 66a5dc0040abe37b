/** What nvidia-smi printed on real machines, and what is made of it. */
import t from 'tap'
import { driversOwn, nvidiaReader, parseNvidia } from '../../../src/agent/hardware/nvidia.ts'
import type { Printed, Tools } from '../../../src/agent/hardware/tools.ts'
import { fixture, machineRoots } from './sys.ts'

const OLDEST = [
  ...['uuid', 'name', 'memory.total', 'memory.used', 'utilization.gpu', 'temperature.gpu', 'power.draw'],
  ...['power.limit', 'driver_version'],
]
const OLD = [...OLDEST, 'clocks_throttle_reasons.active']
const MIG = [...OLD, 'mig.mode.current']
const NEW = [...OLDEST, 'clocks_event_reasons.active', 'mig.mode.current']
const MIB = 1_048_576

t.test('a card tells everything, in bytes, shares, degrees and watts', async t => {
  const { gpus, loads, known } = parseNvidia(await fixture('nvidia/h100.csv'), NEW)
  t.equal(known, true)
  t.equal(gpus.length, 4)
  t.same(gpus[0], {
    id: 'GPU-55555555-0000-4000-8000-000000000001',
    vendor: 'nvidia',
    model: 'NVIDIA H100 80GB HBM3',
    unified: false,
    driver: '550.90.07',
    memoryBytes: 81_559 * MIB,
  })
  t.same(loads[1], {
    id: 'GPU-55555555-0000-4000-8000-000000000002',
    utilisation: 0.04,
    memoryUsedBytes: 72_790 * MIB,
    temperatureC: 32,
    powerW: 140.02,
    powerLimitW: 700,
    throttled: false,
  })
})

t.test(
  'heat and the hardware’s own brake throttle; rest and a limit of power that is reached do not',
  async t => {
    const h100 = parseNvidia(await fixture('nvidia/h100.csv'), NEW)
    t.same(
      h100.loads.map(({ throttled }) => throttled),
      [false, false, false, true],
    )
    const gtx = parseNvidia(await fixture('nvidia/gtx1080ti.csv'), OLD)
    t.same(
      gtx.loads.map(({ throttled, temperatureC }) => [throttled, temperatureC]),
      [
        [true, 84],
        [false, 68],
        [false, 70],
      ],
    )
  },
)

t.test('what is not a number is unknown, whatever word stands for that', async t => {
  const titan = parseNvidia(await fixture('nvidia/gtx-titan.csv'), OLDEST)
  t.same(titan.loads, [
    { id: 'GPU-22222222-0000-4000-8000-000000000001', memoryUsedBytes: 14 * MIB, temperatureC: 44 },
  ])
  const pair = parseNvidia(await fixture('nvidia/rtx2080-pair.csv'), OLD)
  t.notOk('powerW' in pair.loads[1]!, 'ERR!')
  t.notOk('powerLimitW' in pair.loads[1]!, '[N/A]')
  t.equal(pair.loads[1]!.utilisation, 0, '0 is a reading')
  const rtx3080 = parseNvidia(await fixture('nvidia/rtx3080-na.csv'), MIG)
  t.same(rtx3080.loads, [
    { id: 'GPU-44444444-0000-4000-8000-000000000001', memoryUsedBytes: 9_029 * MIB, temperatureC: 54 },
  ])
  t.equal(rtx3080.gpus[0]!.unified, false, 'a card with memory of its own')
})

t.test('of a card that is cut into partitions nobody can have the whole memory', async t => {
  for (const name of ['nvidia/a100-mig-container.csv', 'nvidia/a100-mig-host.csv']) {
    const { gpus, loads, known } = parseNvidia(await fixture(name), NEW, 1_000)
    t.equal(known, true, name)
    t.notOk('memoryBytes' in gpus[0]!, name)
    t.equal(gpus[0]!.unified, false, name)
    t.notOk('memoryUsedBytes' in loads[0]!, name)
    t.notOk('utilisation' in loads[0]!, name)
    t.equal(loads[0]!.temperatureC, 47, name)
  }
})

t.test('a part of a card that a virtual machine was given counts for what it is', async t => {
  const { gpus, loads } = parseNvidia(await fixture('nvidia/h100l-vgpu.csv'), NEW)
  t.equal(gpus[0]!.memoryBytes, 24_576 * MIB)
  t.same(loads[0], { id: gpus[0]!.id, utilisation: 0, memoryUsedBytes: 0 })
})

t.test('chips that share the machine’s memory may use what the machine has, where that is known', async t => {
  const machineBytes = 128_501_256_192
  const gb10 = parseNvidia(await fixture('nvidia/gb10.csv'), NEW, machineBytes)
  t.match(gb10.gpus[0], { model: 'NVIDIA GB10', unified: true, memoryBytes: machineBytes })
  t.notOk('memoryUsedBytes' in gb10.loads[0]!)
  t.equal(gb10.loads[0]!.utilisation, 0.02)
  const orin = parseNvidia(await fixture('nvidia/orin.csv'), OLD)
  t.match(orin.gpus[0], { model: 'Orin (nvgpu)', unified: true })
  t.notOk('memoryBytes' in orin.gpus[0]!)
  t.same(orin.loads, [{ id: orin.gpus[0]!.id }])
})

t.test('of two cards one is lost: the other is told of, and it is not all', async t => {
  const { gpus, loads, known } = parseNvidia(await fixture('nvidia/lost-one.csv'), MIG)
  t.equal(known, false)
  t.same(
    gpus.map(({ model }) => model),
    ['NVIDIA RTX A4000'],
  )
  t.equal(loads.length, 1)
})

t.test('any text makes no GPUs of itself, and no exception', async t => {
  for (const text of ['', '\n\n', ',,,,', 'GPU-', '\u0000', `${'GPU-x,'.repeat(10_000)}`, '{"a":1}'])
    t.same(parseNvidia(text, NEW).gpus, [])
  t.equal(parseNvidia('nonsense', NEW).known, false)
})

/** Tools whose answers are told beforehand, by the arguments. */
function told(answer: (args: readonly string[]) => Partial<Printed>): Tools & { readonly asked: string[] } {
  const asked: string[] = []
  return {
    asked,
    running: 0,
    find: async () => '/usr/bin/nvidia-smi',
    async run(_tool, args) {
      asked.push(args[0]!)
      return { stdout: '', stderr: '', exitCode: 0, ...answer(args) }
    },
  }
}

t.test('a driver that does not know a field is asked for fewer, and from then on for these', async t => {
  const notAField = await fixture('nvidia/not-a-field.txt')
  const titan = await fixture('nvidia/gtx-titan.csv')
  const tools = told(args =>
    /reasons|mig/.test(args[0]!) ? { stdout: notAField, exitCode: 2 } : { stdout: titan },
  )
  const reader = nvidiaReader(tools, () => undefined)
  const signal = new AbortController().signal
  t.equal((await reader.read(signal)).gpus[0]!.model, 'GeForce GTX TITAN')
  t.equal(tools.asked.length, 4)
  await reader.read(signal)
  t.equal(tools.asked.length, 5)
  t.notMatch(tools.asked[4]!, /reasons/)
})

t.test('no devices is an answer; a driver that is not there is none', async t => {
  const signal = new AbortController().signal
  const none = nvidiaReader(
    told(() => ({ stdout: 'No devices were found\n', exitCode: 6 })),
    () => undefined,
  )
  t.same(await none.read(signal), { gpus: [], loads: [], known: true })
  const text = await fixture('nvidia/no-driver.txt')
  const driverless = nvidiaReader(
    told(() => ({ stdout: text, exitCode: 9 })),
    () => undefined,
  )
  await t.rejects(driverless.read(signal), { code: 'hardware.tool', message: /couldn't communicate/ })
  const silent = nvidiaReader(
    told(() => ({ exitCode: 12 })),
    () => undefined,
  )
  await t.rejects(silent.read(signal), { code: 'hardware.tool', message: /ended with 12/ })
})

t.test('without nvidia-smi the driver itself says which cards it has', async t => {
  const roots = await machineRoots(t, {
    proc: [
      'driver/nvidia/version = NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024',
      'driver/nvidia/gpus/0000:01:00.0/information = Model: \t\t NVIDIA RTX A4000\\nIRQ:   \t\t 125\\nGPU UUID: \t GPU-????????-????-????-????-????????????\\nBus Type: \t PCIe',
      'driver/nvidia/gpus/0000:b3:00.0/information = Model: \t\t NVIDIA RTX A4000\\nGPU UUID: \t GPU-bbbbbbbb-0000-4000-8000-000000000001',
      'driver/nvidia/gpus/0000:c3:00.0/registry = nothing',
    ].join('\n'),
  })
  t.same(await driversOwn(roots), [
    {
      id: '0000:01:00.0',
      vendor: 'nvidia',
      model: 'NVIDIA RTX A4000',
      unified: false,
      driver: '550.54.14',
    },
    {
      id: 'GPU-bbbbbbbb-0000-4000-8000-000000000001',
      vendor: 'nvidia',
      model: 'NVIDIA RTX A4000',
      unified: false,
      driver: '550.54.14',
    },
  ])
  t.same(await driversOwn(await machineRoots(t, {})), [])
})
