/** The way of systems that are not Linux, by systeminformation; it speaks Linux, too, so that both ways can be compared here. */
import { chmod, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { ROOTS } from '../../../src/agent/hardware/files.ts'
import { linuxSystem } from '../../../src/agent/hardware/linux.ts'
import { openMachine } from '../../../src/agent/hardware/machine.ts'
import { cpuByLibrary, otherSystem } from '../../../src/agent/hardware/system.ts'
import { openTools } from '../../../src/agent/hardware/tools.ts'
import { systemClock } from '../../../src/clock.ts'
import { folder } from './sys.ts'

const LINUX = process.platform === 'linux' ? false : 'compares with the files of Linux'
const tools = openTools()

t.test('systeminformation tells the same as the files', { skip: LINUX }, async t => {
  const [other, linux] = [otherSystem(tools, process.platform), linuxSystem(ROOTS)]
  const [a, b] = [await other.memory(), await linux.memory()]
  t.equal(a.totalBytes, b.totalBytes)
  t.ok(Math.abs(a.availableBytes! - b.availableBytes!) < b.totalBytes! / 4)
  t.equal(a.swapTotalBytes, b.swapTotalBytes)
  const [ticks, files] = [await other.ticks(), await linux.ticks()]
  t.same([...ticks.keys()], [...files.keys()])
  t.ok(Math.abs(ticks.get('cpu')!.total / 10 - files.get('cpu')!.total) < files.get('cpu')!.total / 2)
  const traffic = await other.traffic()
  t.notOk(traffic.has('lo'))
  const counted = await linux.traffic()
  for (const [name, { receivedBytes }] of traffic)
    t.ok(receivedBytes <= counted.get(name)!.receivedBytes + 1e9, `${name} is counted in bytes`)
  t.ok(((await cpuByLibrary()) ?? '').length > 2)
})

t.test('the volume of the models, with a size', { skip: LINUX }, async t => {
  const [other, linux] = [otherSystem(tools, process.platform), linuxSystem(ROOTS)]
  const [a, b] = [await other.disk(tmpdir()), await linux.disk(tmpdir())]
  // In some containers it lists no volume; then nothing is known.
  if (a !== undefined) t.equal(a.sizeBytes, b!.sizeBytes)
  t.equal((await other.freeBytes(tmpdir())) > 0, true)
})

t.test('a Mac, as its own programs tell it; they are made up here', async t => {
  const dir = await folder(t)
  const fixtures = join(import.meta.dirname, 'fixtures/apple')
  const scripts = {
    sw_vers: 'printf "ProductName:\\t\\tmacOS\\nProductVersion:\\t\\t15.3.1\\n"',
    system_profiler: `cat ${fixtures}/m3-pro.out`,
    ioreg: `cat ${fixtures}/ioreg-m1-max.txt`,
    sysctl: 'echo 16384',
  }
  for (const [name, script] of Object.entries(scripts)) {
    await writeFile(join(dir, name), `#!/bin/sh\n${script}\n`)
    await chmod(join(dir, name), 0o755)
  }
  const machine = openMachine({
    clock: systemClock,
    tools: openTools({ folders: [dir, '/usr/bin', '/bin'] }),
    platform: 'darwin',
    models: dir,
  })
  t.teardown(() => machine.close())
  const equipment = await machine.equipment()
  t.match(equipment, {
    os: { platform: 'darwin', name: 'macOS 15.3.1' },
    gpus: [
      { id: 'mac:0', vendor: 'apple', model: 'Apple M3 Pro', unified: true, memoryBytes: 16 * 1_024 ** 3 },
    ],
    gpusKnown: true,
    container: false,
  })
  t.ok(equipment.memoryBytes! > 0)
  await machine.load()
  t.match((await machine.load()).gpus, [{ id: 'mac:0', utilisation: 0.02, memoryUsedBytes: 340_983_808 }])
})

t.test('Windows: NVIDIA’s cards, and nobody knows of others', async t => {
  const machine = openMachine({ clock: systemClock, tools: openTools({ folders: [] }), platform: 'win32' })
  t.teardown(() => machine.close())
  t.match(await machine.equipment(), { gpus: [], gpusKnown: false })
})
