/** What Linux says of itself, as its own files are; containers of both versions of control groups; volumes. */
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { cpuUsed, findBounds, inContainer, memoryUsed } from '../../../src/agent/hardware/cgroup.ts'
import { findMount, freeBytes, linuxDisk, sizeBytes, steady } from '../../../src/agent/hardware/disk.ts'
import { linuxSystem } from '../../../src/agent/hardware/linux.ts'
import {
  passed,
  readCpuModel,
  readMeminfo,
  readOsName,
  readTicks,
  readTraffic,
  share,
} from '../../../src/agent/hardware/proc.ts'
import { folder, machineRoots, unpack } from './sys.ts'

t.test('processors: waiting for a disk is no work, stolen time is none to be had', async t => {
  const before = readTicks('cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 100 0 100 800 0 0 0 0 0 0\nintr 1 2 3\n')
  const after = readTicks('cpu  120 5 110 830 20 3 2 10 99 0\ncpu0 120 5 110 830 20 3 2 10 99 0\nctxt 3\n')
  t.same(before.get('cpu'), { busy: 200, total: 1_000 })
  t.equal(share(before.get('cpu'), after.get('cpu')), 0.5)
  t.same([...after.keys()], ['cpu', 'cpu0'])
})

t.test('a share of no time, or of a clock that went back, is unknown', async t => {
  const at = { busy: 5, total: 10 }
  t.same(
    [share(at, at), share(undefined, at), share({ busy: 9, total: 20 }, at)],
    [undefined, undefined, undefined],
  )
  t.equal(share({ busy: 9, total: 10 }, { busy: 5, total: 20 }), 0, 'counters of idle time jump back on some')
  for (const text of ['', 'nonsense', 'cpu\n', 'cpu x y z']) t.equal(readTicks(text).size, 0, text)
})

t.test('memory: what is available counts what caches would give back; old kernels do not say', async t => {
  const text =
    'MemTotal:       24684084 kB\nMemFree:        23369084 kB\nMemAvailable:   23766708 kB\nSwapTotal:       4194300 kB\nSwapFree:        4000000 kB\n'
  t.same(readMeminfo(text), {
    totalBytes: 24_684_084 * 1_024,
    availableBytes: 23_766_708 * 1_024,
    swapTotalBytes: 4_194_300 * 1_024,
    swapFreeBytes: 4_000_000 * 1_024,
  })
  t.same(readMeminfo('MemTotal: 1 kB\nMemFree: 1 kB\n'), { totalBytes: 1_024 })
  t.same(readMeminfo(''), {})
})

t.test('network: all interfaces but loopback, without those that came or began anew in between', async t => {
  const dev = (rows: string): string =>
    `Inter-|   Receive  |  Transmit\n face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets\n${rows}`
  const before = readTraffic(
    dev('    lo: 9 1 0 0 0 0 0 0 9 1 0\n  eth0: 100 1 0 0 0 0 0 0 50 1 0\n wlan0:7 1 0 0 0 0 0 0 700 1 0\n'),
  )
  t.same([...before.keys()], ['eth0', 'wlan0'])
  const after = readTraffic(
    dev(
      '    lo: 99 1 0 0 0 0 0 0 99 1 0\n  eth0: 350 1 0 0 0 0 0 0 60 1 0\n wlan0:0 1 0 0 0 0 0 0 0 1 0\n  usb0: 1000 0 0 0 0 0 0 0 1000 0\n',
    ),
  )
  t.same(passed(before, after), { receivedBytes: 250, sentBytes: 10 })
  t.equal(passed(new Map(), after), undefined, 'none of them was there')
  t.same(passed(new Map(), new Map()), { receivedBytes: 0, sentBytes: 0 }, 'nothing but loopback')
})

t.test('names of systems and processors', async t => {
  t.equal(
    readOsName('NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'),
    'Debian GNU/Linux 12 (bookworm)',
  )
  t.equal(readOsName("NAME='Arch Linux'\n"), 'Arch Linux')
  t.equal(readOsName('NAME=Alpine\nPRETTY_NAME=\n'), 'Alpine')
  t.equal(readOsName(''), undefined)
  t.equal(
    readCpuModel('processor\t: 0\nmodel name\t: AMD Ryzen 9 7950X  16-Core Processor\n'),
    'AMD Ryzen 9 7950X 16-Core Processor',
  )
  t.equal(readCpuModel('processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n'), undefined)
  const board = await machineRoots(t, {
    proc: 'cpuinfo = processor : 0\ndevice-tree/model = NVIDIA Jetson AGX Orin Developer Kit\0\nsys/kernel/osrelease = 5.15.148-tegra',
    etc: 'os-release = PRETTY_NAME="Ubuntu 22.04.5 LTS"',
  })
  const system = linuxSystem(board)
  t.equal(await system.cpuModel(), 'NVIDIA Jetson AGX Orin Developer Kit')
  t.match(await system.os(new AbortController().signal), {
    name: 'Ubuntu 22.04.5 LTS',
    kernel: '5.15.148-tegra',
  })
})

t.test('where the kernel does not know its processor, systeminformation is asked', async t => {
  const model = await linuxSystem(await machineRoots(t, {})).cpuModel()
  t.ok(model === undefined || model.length > 2, `${model}`)
})

t.test('a file that is not there, or is a folder, is an error with its name', async t => {
  const roots = await machineRoots(t, {})
  await mkdir(join(roots.proc, 'meminfo'))
  const system = linuxSystem(roots)
  await t.rejects(system.memory(), { code: 'hardware.unreadable', message: /proc\/meminfo/ })
  await t.rejects(system.ticks(), { code: 'hardware.unreadable', message: /proc\/stat/ })
  await t.rejects(system.traffic(), { code: 'hardware.unreadable' })
})

const OWN = 'self/ns/pid -> pid:[4026532201]\nself/ns/cgroup -> cgroup:[4026532202]'
const FIRST = 'self/ns/pid -> pid:[4026531836]\nself/ns/cgroup -> cgroup:[4026531835]'

t.test('a container has a mark and namespaces of its own', async t => {
  const is = async (proc: string, root = ''): Promise<boolean> =>
    inContainer(await machineRoots(t, { proc, root }))
  t.equal(await is(OWN, '.dockerenv ='), true, 'Docker')
  t.equal(await is(OWN, 'run/.containerenv ='), true, 'Podman')
  t.equal(await is(`${OWN}\n1/cgroup = 0::/kubepods.slice/kubepods-pod1.slice`), true, 'Kubernetes')
  t.equal(await is(`${OWN}\n1/environ = PATH=/bin\0container=lxc\0`), true, 'LXC')
  t.equal(
    await is(`${FIRST}\nself/cgroup = 0::/system.slice/docker-0a1b.scope`),
    true,
    'that shares all namespaces',
  )
  t.equal(await is(FIRST, '.dockerenv ='), false, 'a virtual machine made of an image')
  t.equal(await is(OWN), false, 'namespaces alone: a sandbox of systemd')
  t.equal(await is(''), false)
})

t.test('version 2: the tightest limit of all groups above', async t => {
  const roots = await machineRoots(t, { proc: 'self/cgroup = 0::/a.slice/b.scope' })
  await unpack(
    roots.sys,
    [
      'fs/cgroup/a.slice/memory.max = 8589934592',
      'fs/cgroup/a.slice/memory.current = 3221225472',
      'fs/cgroup/a.slice/memory.stat = anon 1\\ninactive_file 1073741824\\nactive_file 5',
      'fs/cgroup/a.slice/cpu.max = max 100000',
      'fs/cgroup/a.slice/b.scope/memory.max = max',
      'fs/cgroup/a.slice/b.scope/cpu.max = 250000 100000',
      'fs/cgroup/a.slice/b.scope/cpu.stat = usage_usec 12500000\\nuser_usec 1',
    ].join('\n'),
  )
  const { memory, cpu } = await findBounds(roots)
  t.equal(memory!.limitBytes, 8 * 1_024 ** 3)
  t.equal(await memoryUsed(memory!), 2 * 1_024 ** 3)
  t.equal(cpu!.cores, 2.5)
  t.equal(await cpuUsed(cpu!), 12.5)
  await rm(join(memory!.dir, 'memory.current'))
  await mkdir(join(memory!.dir, 'memory.current'))
  t.equal(await memoryUsed(memory!), undefined)
  await rm(join(cpu!.dir, 'cpu.stat'))
  t.equal(await cpuUsed(cpu!), undefined)
})

t.test('version 2 in a namespace of its own, where the root is the container', async t => {
  const roots = await machineRoots(t, {
    proc: 'self/cgroup = 0::/',
    sys: ['fs/cgroup/memory.max = 2147483648\nfs/cgroup/cpu.max = 150000 100000'],
  })
  const { memory, cpu } = await findBounds(roots)
  t.same([memory!.limitBytes, cpu!.cores], [2_147_483_648, 1.5])
})

t.test('version 1, where no limit is a very large one', async t => {
  const roots = await machineRoots(t, {
    proc: 'self/cgroup = 4:memory:/docker/x\\n2:cpu,cpuacct:/docker/x\\n1:name=systemd:/docker/x',
    sys: [
      [
        'fs/cgroup/memory/memory.limit_in_bytes = 4294967296',
        'fs/cgroup/memory/memory.usage_in_bytes = 1073741824',
        'fs/cgroup/memory/memory.stat = cache 1\\ntotal_inactive_file 73741824',
        'fs/cgroup/cpu/cpu.cfs_quota_us = 400000',
        'fs/cgroup/cpu/cpu.cfs_period_us = 100000',
        'fs/cgroup/cpuacct/cpuacct.usage = 2500000000',
      ].join('\n'),
    ],
  })
  const { memory, cpu } = await findBounds(roots)
  t.equal(memory!.limitBytes, 4_294_967_296)
  t.equal(await memoryUsed(memory!), 1_000_000_000)
  t.equal(cpu!.cores, 4)
  t.equal(await cpuUsed(cpu!), 2.5)
  await writeFile(join(roots.sys, 'fs/cgroup/memory/memory.limit_in_bytes'), '9223372036854771712\n')
  await writeFile(join(roots.sys, 'fs/cgroup/cpu/cpu.cfs_quota_us'), '-1\n')
  t.same(await findBounds(roots), {})
})

t.test('no groups, no limits', async t => {
  t.same(await findBounds(await machineRoots(t, {})), {})
  t.same(await findBounds(await machineRoots(t, { proc: 'self/cgroup = nonsense\\n0::/../../etc' })), {})
})

const MOUNTS = [
  '27 1 259:2 / / rw,relatime - ext4 /dev/nvme0n1p2 rw',
  '30 27 8:17 / /srv rw shared:5 master:1 - xfs /dev/sdb1 rw',
  '31 30 0:50 / /srv/my\\040models rw - nfs4 nas:/export/models rw',
  '32 27 0:51 / /srv2 rw - btrfs /dev/sdc rw',
  '33 27 254:0 / /virtual rw - ext4 /dev/vda rw',
  '34 30 8:33 / /srv rw - ext4 /dev/sdc1 rw',
].join('\n')

t.test('a folder is on the mount that holds it, and of several at one place on the last', async t => {
  t.match(findMount(MOUNTS, '/root/.ollama'), { mount: '/', source: '/dev/nvme0n1p2' })
  t.match(findMount(MOUNTS, '/srv/x'), { mount: '/srv', device: '8:33', fileSystem: 'ext4' })
  t.match(findMount(MOUNTS, '/srv/my models/blobs'), { fileSystem: 'nfs4', source: 'nas:/export/models' })
  t.match(findMount(MOUNTS, '/srv2'), { fileSystem: 'btrfs' })
  t.equal(findMount('', '/srv'), undefined)
  t.equal(findMount('garbage\n - \n1 2 3 - ', '/srv'), undefined)
})

t.test('a volume turns, does not, is elsewhere, or nobody knows', async t => {
  const dir = await folder(t)
  const block = (path: string, rotational: 0 | 1): string => `${path}/queue/rotational = ${rotational}`
  const of = async (device: string, fileSystem: string, source: string): Promise<unknown> => {
    const roots = await machineRoots(t, {
      proc: `self/mountinfo = 27 1 ${device} / / rw - ${fileSystem} ${source} rw`,
      sys: [
        [
          block('devices/pci/nvme0n1', 0),
          'devices/pci/nvme0n1/nvme0n1p2/partition = 2',
          'dev/block/259:2 -> ../../devices/pci/nvme0n1/nvme0n1p2',
          block('devices/ata/sdb', 1),
          'devices/ata/sdb/device/vendor = ATA',
          'devices/ata/sdb/sdb1/partition = 1',
          'dev/block/8:17 -> ../../devices/ata/sdb/sdb1',
          'class/block/sdb -> ../../devices/ata/sdb',
          block('devices/virtio/vda', 1),
          'dev/block/254:0 -> ../../devices/virtio/vda',
          block('devices/scsi/sda', 1),
          'devices/scsi/sda/device/vendor = QEMU',
          'dev/block/8:0 -> ../../devices/scsi/sda',
        ].join('\n'),
      ],
    })
    return (await linuxDisk(roots, dir))?.type
  }
  t.equal(await of('259:2', 'ext4', '/dev/nowhere/nvme0n1p2'), 'ssd', 'a partition, by its disk')
  t.equal(await of('8:17', 'xfs', '/dev/nowhere/sdb1'), 'hdd')
  t.equal(await of('0:51', 'btrfs', '/dev/nowhere/sdb'), 'hdd', 'by what was mounted')
  t.equal(await of('254:0', 'ext4', '/dev/nowhere/vda'), undefined, 'virtual disks say that they turn')
  t.equal(await of('8:0', 'ext4', '/dev/nowhere/sda'), undefined)
  t.equal(await of('0:60', 'zfs', 'tank/models'), undefined)
  t.equal(await of('0:61', 'overlay', 'overlay'), undefined)
  for (const network of ['nfs', 'nfs4', 'cifs', 'smb3', 'fuse.sshfs', 'ceph'])
    t.equal(await of('0:62', network, 'nas:/x'), 'network', network)
})

t.test('a folder that is not there yet is on the volume of the nearest one that is', async t => {
  const dir = await folder(t)
  const [free, size] = [await freeBytes(dir), await sizeBytes(dir)]
  t.ok(free > 0 && free <= size)
  t.equal(await sizeBytes(join(dir, 'models/of/tomorrow')), size)
  await symlink(dir, join(dir, 'link'))
  const disk = await linuxDisk({ proc: '/proc', sys: '/sys', etc: '/etc', root: '/' }, join(dir, 'link/x'))
  t.ok(disk!.fileSystem.length > 1)
  t.equal(disk!.sizeBytes, size)
  t.equal(await linuxDisk(await machineRoots(t, {}), dir), undefined, 'without a list of mounts')
})

t.test('a volume of a pool that others use is the same size until it is a tenth off', async t => {
  t.same([steady(undefined, 100), steady(100, 95), steady(100, 110), steady(100, 89)], [100, 100, 100, 89])
  t.same([steady(100, 111), steady(100, undefined)], [111, undefined])
})
