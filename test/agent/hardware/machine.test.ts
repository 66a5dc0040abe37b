/** The whole of it: a machine with cards, without, in a container, one that refuses, and this one. */
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Machine, type MachineNeeds, openMachine } from '../../../src/agent/hardware/machine.ts'
import { openTools } from '../../../src/agent/hardware/tools.ts'
import { systemClock, type VirtualClock, virtualClock } from '../../../src/clock.ts'
import { fixture, folder, machineRoots, unpack } from './sys.ts'

function open(t: Test, needs: Omit<MachineNeeds, 'clock'> & Partial<MachineNeeds>): Machine {
  const machine = openMachine({ clock: systemClock, ...needs })
  t.teardown(() => machine.close())
  return machine
}

async function programs(
  t: Test,
  scripts: Readonly<Record<string, string>>,
): Promise<{ tools: ReturnType<typeof openTools>; dir: string }> {
  const dir = await folder(t)
  for (const [name, script] of Object.entries(scripts)) {
    await writeFile(join(dir, name), `#!/bin/sh\n${script}\n`)
    await chmod(join(dir, name), 0o755)
  }
  return { tools: openTools({ folders: [dir] }), dir }
}

/** Lets what was begun come back, with real files and programs under a clock that stands still. */
async function until(what: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 10_000; !(await what()); await new Promise(resolve => setTimeout(resolve, 5)))
    if (Date.now() > end) throw new Error('it did not come to that within 10 s')
}

const H100 = join(import.meta.dirname, 'fixtures/nvidia/h100.csv')
const NVIDIA = [
  'bus/pci/devices/0000:19:00.0/vendor = 0x10de',
  'bus/pci/devices/0000:19:00.0/class = 0x030200',
  'bus/pci/devices/0000:19:00.0/device = 0x2330',
  'bus/pci/devices/0000:19:00.0/driver -> ../../drivers/nvidia',
].join('\n')
const EMPTY_BUS =
  'bus/pci/devices/0000:00:00.0/vendor = 0x8086\nbus/pci/devices/0000:00:00.0/class = 0x060000'
const proc = (busy = 0, idle = 0, received = 0): string =>
  [
    `stat = cpu  ${busy} 0 0 ${idle} 0 0 0 0 0 0\\ncpu0 ${busy} 0 0 ${idle} 0 0 0 0 0 0\\nintr 1`,
    'meminfo = MemTotal:       8000000 kB\\nMemAvailable:   6000000 kB\\nSwapTotal:             0 kB\\nSwapFree:              0 kB',
    `net/dev = Inter-|\\n face |\\n  eth0: ${received} 0 0 0 0 0 0 0 ${received * 2} 0`,
  ].join('\n')

t.test('this machine, as its own files tell it', async t => {
  const machine = open(t, { models: '/root/.ollama/models' })
  const equipment = await machine.equipment()
  t.equal(equipment.os!.platform, process.platform)
  t.equal(equipment.os!.arch, process.arch)
  t.ok(equipment.os!.kernel.length > 2)
  t.ok(equipment.cpu!.cores! > 0)
  t.ok(equipment.memoryBytes! > 0 && equipment.memoryBytes! <= totalmem())
  t.ok(equipment.disk!.sizeBytes! > 0)
  await new Promise(resolve => setTimeout(resolve, 1_100))
  const load = await machine.load()
  t.ok(load.uptimeS! > 0)
  t.ok(load.memoryFreeBytes! > 0 && load.memoryFreeBytes! <= equipment.memoryBytes!)
  if (process.platform === 'linux') {
    t.ok(load.cpu! >= 0 && load.cpu! <= 1, `${load.cpu}`)
    t.ok(load.receivedBytesPerS! >= 0)
    const total = Number(/MemTotal:\s+(\d+)/.exec(await readFile('/proc/meminfo', 'utf8'))![1]) * 1_024
    t.ok(equipment.memoryBytes! <= total)
  }
  await until(async () => (await machine.load()).diskFreeBytes !== undefined)
})

t.test('a machine without a GPU is known to have none', async t => {
  const machine = open(t, { roots: await machineRoots(t, { sys: [EMPTY_BUS], proc: proc() }) })
  t.match(await machine.equipment(), {
    gpus: [],
    gpusKnown: true,
    container: false,
    memoryBytes: 8_192_000_000,
  })
  t.same((await machine.load()).gpus, [])
})

t.test('cards by what nvidia-smi prints; a first load waits for no tool', async t => {
  const { tools, dir } = await programs(t, {
    'nvidia-smi': `until [ -e "$(/usr/bin/dirname "$0")/go" ]; do /bin/sleep 0.01; done; /bin/cat ${H100}`,
  })
  const machine = open(t, { tools, roots: await machineRoots(t, { sys: [NVIDIA], proc: proc() }) })
  t.same((await machine.load()).gpus, [])
  await writeFile(join(dir, 'go'), '')
  const { gpus, gpusKnown } = await machine.equipment()
  t.same([gpus.length, gpusKnown], [4, true])
  t.equal((await machine.load()).gpus[3]!.throttled, true)
})

t.test('a tool that came with an image is not run for cards that the bus does not show', async t => {
  const { tools, dir } = await programs(t, { 'nvidia-smi': 'echo ran > "$(/usr/bin/dirname "$0")/ran"' })
  const machine = open(t, { tools, roots: await machineRoots(t, { sys: [EMPTY_BUS], proc: proc() }) })
  t.match(await machine.equipment(true), { gpus: [], gpusKnown: true })
  await t.rejects(readFile(join(dir, 'ran')))
})

t.test('a card of which nobody may ask is not “no card”', async t => {
  const { tools } = await programs(t, {})
  const roots = await machineRoots(t, { sys: [NVIDIA], proc: proc() })
  t.match(await open(t, { tools, roots }).equipment(), { gpus: [], gpusKnown: false }, 'in a container')
  await unpack(roots.proc, 'driver/nvidia/gpus/0000:19:00.0/information = Model: NVIDIA H100 80GB HBM3')
  const machine = open(t, { tools, roots })
  const { gpus, gpusKnown } = await machine.equipment()
  t.match(gpus, [{ id: '0000:19:00.0', model: 'NVIDIA H100 80GB HBM3' }])
  t.notOk('memoryBytes' in gpus[0]!)
  t.equal(gpusKnown, false)
})

t.test('where there is no bus to look at, nobody knows', async t => {
  const { tools } = await programs(t, {})
  t.match(await open(t, { tools, roots: await machineRoots(t, { proc: proc() }) }).equipment(), {
    gpus: [],
    gpusKnown: false,
  })
})

t.test('under Windows’s Linux the card is on no bus, and others may be there', async t => {
  const { tools } = await programs(t, { 'nvidia-smi': `/bin/cat ${H100}` })
  const roots = await machineRoots(t, { sys: [EMPTY_BUS], proc: proc(), root: 'dev/dxg =' })
  const { gpus, gpusKnown } = await open(t, { tools, roots }).equipment()
  t.same([gpus.length, gpusKnown], [4, false])
})

t.test('cards of two vendors stand side by side', async t => {
  const { tools } = await programs(t, { 'nvidia-smi': `/bin/cat ${H100}` })
  const roots = await machineRoots(t, { sys: [NVIDIA, await fixture('amd/rx6800.sys')], proc: proc() })
  const machine = open(t, { tools, roots })
  const { gpus, gpusKnown } = await machine.equipment()
  t.same([...new Set(gpus.map(({ vendor }) => vendor))], ['nvidia', 'amd'])
  t.equal(gpusKnown, true)
  t.equal((await machine.load()).gpus.length, 5)
})

t.test('a nameless card is named by AMD’s own program, once', async t => {
  const { tools, dir } = await programs(t, {
    'rocm-smi': `echo ran >> "$(/usr/bin/dirname "$0")/ran"; echo '{"card0": {"PCI Bus": "0000:03:00.0", "Card Series": "Radeon RX 6800 XT", "GPU use (%)": "99"}}'`,
  })
  const machine = open(t, {
    tools,
    roots: await machineRoots(t, { sys: [await fixture('amd/rx6800.sys')], proc: proc() }),
  })
  for (let i = 0; i < 3; i += 1)
    t.match((await machine.equipment(true)).gpus, [
      { model: 'Radeon RX 6800 XT', memoryBytes: 17_163_091_968 },
    ])
  t.equal(await readFile(join(dir, 'ran'), 'utf8'), 'ran\n')
  t.equal((await machine.load()).gpus[0]!.utilisation, 0.42, 'figures are the driver’s')
})

t.test('a tool that hangs holds nobody up; what it told goes stale, and there is one of it', async t => {
  const clock: VirtualClock = virtualClock()
  const { tools, dir } = await programs(t, {
    'nvidia-smi': `d="$(/usr/bin/dirname "$0")"; echo x >> "$d/runs"; [ -e "$d/hang" ] && exec /bin/sleep 600; /bin/cat ${H100}`,
  })
  const warned: string[] = []
  const roots = await machineRoots(t, { sys: [NVIDIA], proc: proc() })
  const machine = open(t, { clock, tools, roots, warn: message => warned.push(message) })
  t.equal((await machine.equipment()).gpus.length, 4)
  await writeFile(join(dir, 'hang'), '')
  for (let second = 0; second < 40; second += 5) {
    await clock.advance(5_000)
    await machine.load()
    // The clock is virtual, and the process is not.
    if (second === 10) await until(async () => (await readFile(join(dir, 'runs'), 'utf8')).length === 4)
    if (second === 20) await until(async () => tools.running === 0)
  }
  t.same((await machine.load()).gpus, [], 'unknown, not 0')
  const { gpus, gpusKnown } = await machine.equipment()
  t.same([gpus.length, gpusKnown], [4, false], 'they were there, and nobody knows whether they are')
  t.match(warned, [/GPUs by nvidia-smi cannot be read: no answer within 15 s/])
  // Begun at 0, 10 and, after it was late at 25, at 35 s: each when the one before was over.
  await until(async () => (await readFile(join(dir, 'runs'), 'utf8')) === 'x\nx\nx\n')
  t.equal(tools.running, 1)
  await clock.advance(15_000)
  await until(async () => tools.running === 0)
  await rm(join(dir, 'hang'))
  await machine.equipment(true)
  t.equal((await machine.load()).gpus.length, 4)
  t.match(warned, [/./, /can be read again/])
})

t.test('a laptop’s card is asked once, and then left asleep while it sleeps', async t => {
  const { tools, dir } = await programs(t, {
    'nvidia-smi': `echo x >> "$(/usr/bin/dirname "$0")/runs"; /bin/cat ${H100}`,
  })
  const roots = await machineRoots(t, {
    sys: [NVIDIA, 'bus/pci/devices/0000:19:00.0/power/runtime_status = suspended'],
    proc: proc(),
  })
  const machine = open(t, { tools, roots })
  t.equal((await machine.equipment()).gpus.length, 4)
  t.match(await machine.equipment(true), { gpusKnown: true, gpus: { length: 4 } })
  t.same((await machine.load()).gpus, [])
  t.equal(await readFile(join(dir, 'runs'), 'utf8'), 'x\n')
  await unpack(roots.sys, 'bus/pci/devices/0000:19:00.0/power/runtime_status = active')
  await machine.equipment(true)
  t.equal((await machine.load()).gpus.length, 4)
})

t.test('a chip that shares the machine’s memory is told of once, with the right size', async t => {
  const gb10 = join(import.meta.dirname, 'fixtures/nvidia/gb10.csv')
  const { tools } = await programs(t, { 'nvidia-smi': `/bin/cat ${gb10}` })
  const machine = open(t, { tools, roots: await machineRoots(t, { sys: [NVIDIA], proc: proc() }) })
  t.match((await machine.equipment()).gpus, [{ unified: true, memoryBytes: 8_192_000_000 }])
})

t.test('rates are of the time between two readings; the first has none', async t => {
  const clock = virtualClock()
  const roots = await machineRoots(t, { sys: [EMPTY_BUS], proc: proc(100, 900, 1_000) })
  const machine = open(t, { clock, roots })
  const first = await machine.load()
  t.same([first.cores, first.cpu, first.receivedBytesPerS], [[], undefined, undefined])
  t.equal(first.memoryFreeBytes, 6_144_000_000)
  await clock.advance(5_000)
  await unpack(roots.proc, proc(400, 1_000, 51_000))
  const second = await machine.load()
  t.same([second.cores, second.cpu], [[0.75], 0.75])
  t.same([second.receivedBytesPerS, second.sentBytesPerS], [10_000, 20_000])
  await unpack(roots.proc, proc(900, 1_000, 999_000))
  t.same(await machine.load(), second, 'asked again at once, it tells the same')
})

t.test('in a container its own limits count, for processors and memory', async t => {
  const clock = virtualClock()
  const roots = await machineRoots(t, {
    sys: [
      EMPTY_BUS,
      'fs/cgroup/memory.max = 2147483648\nfs/cgroup/memory.current = 1073741824\nfs/cgroup/cpu.max = 150000 100000\nfs/cgroup/cpu.stat = usage_usec 1000000',
    ],
    proc: `${proc(100, 900)}\nself/cgroup = 0::/\nself/ns/pid -> pid:[4026532201]\nself/ns/cgroup -> cgroup:[4026532202]`,
    root: '.dockerenv =',
  })
  const machine = open(t, { clock, roots })
  const equipment = await machine.equipment()
  t.match(equipment, { container: true, memoryBytes: 2_147_483_648, cpu: { cores: 2 } })
  await clock.advance(5_000)
  await writeFile(join(roots.sys, 'fs/cgroup/cpu.stat'), 'usage_usec 4750000\n')
  const load = await machine.load()
  t.equal(load.memoryFreeBytes, 1_073_741_824)
  t.equal(load.cpu, 0.5, '3.75 s of processor in 5 s, of 1.5 cores')
  t.same(load.cores, [], 'cores are the machine’s')
  await rm(join(roots.sys, 'fs/cgroup/memory.current'))
  await rm(join(roots.sys, 'fs/cgroup/cpu.stat'))
  await clock.advance(5_000)
  const refused = await machine.load()
  t.notOk('memoryFreeBytes' in refused, 'the machine’s would be wrong')
  t.notOk('cpu' in refused)
})

t.test('a machine that refuses everything is unknown, not empty, and does not fail', async t => {
  const { tools } = await programs(t, {})
  const roots = await machineRoots(t, {})
  for (const name of ['stat', 'meminfo', 'net/dev', 'self/mountinfo', 'self/cgroup', 'cpuinfo'])
    await mkdir(join(roots.proc, name), { recursive: true })
  await mkdir(join(roots.etc, 'os-release'))
  await mkdir(join(roots.sys, 'bus/pci'), { recursive: true })
  await writeFile(join(roots.sys, 'bus/pci/devices'), 'no folder')
  const warned: string[] = []
  const machine = open(t, { tools, roots, models: '/nowhere/models', warn: message => warned.push(message) })
  const equipment = await machine.equipment(true)
  t.same(
    Object.keys(equipment)
      .filter(key => !['os', 'cpu'].includes(key))
      .sort(),
    ['container', 'gpus', 'gpusKnown'],
  )
  t.equal(equipment.gpusKnown, false)
  t.equal(equipment.os!.name, 'Linux')
  const load = await machine.load()
  for (const name of ['cpu', 'memoryFreeBytes', 'swapTotalBytes', 'receivedBytesPerS'])
    t.notOk(name in load, name)
  t.match(warned, [/the load of the machine cannot be read: .*(?:stat|meminfo|dev) cannot be read/])
})

t.test('one figure that is refused takes no other with it', async t => {
  const figures = ['cpu', 'memoryFreeBytes', 'swapTotalBytes', 'receivedBytesPerS']
  const gone: Readonly<Record<string, readonly string[]>> = {
    stat: ['cpu'],
    meminfo: ['memoryFreeBytes', 'swapTotalBytes'],
    'net/dev': ['receivedBytesPerS'],
  }
  for (const [path, without] of Object.entries(gone)) {
    const clock = virtualClock()
    const roots = await machineRoots(t, { sys: [EMPTY_BUS], proc: proc(100, 900) })
    const machine = open(t, { clock, roots })
    await machine.load()
    await clock.advance(5_000)
    await unpack(roots.proc, proc(200, 1_000))
    await rm(join(roots.proc, path))
    const load = await machine.load()
    for (const figure of figures) t.equal(figure in load, !without.includes(figure), `${path}: ${figure}`)
  }
})

t.test('a machine that was closed starts nothing any more', async t => {
  const { tools } = await programs(t, { 'nvidia-smi': 'exec /bin/sleep 600' })
  const machine = openMachine({
    clock: systemClock,
    tools,
    roots: await machineRoots(t, { sys: [NVIDIA], proc: proc() }),
  })
  await machine.load()
  await until(async () => tools.running === 1)
  machine.close()
  await until(async () => tools.running === 0)
  await machine.load()
  await machine.equipment(true)
  t.equal(tools.running, 0)
})
