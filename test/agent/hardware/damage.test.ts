/**
 * What tools print, damaged at random: cut, doubled, with bytes of something else. Readers say less, or that it is no answer;
 * they never make up a figure that no machine has, and never fail in another way. The seed is printed.
 */
import t from 'tap'
import { parseAccelerators, parseProfile } from '../../../src/agent/hardware/apple.ts'
import { findMount } from '../../../src/agent/hardware/disk.ts'
import { parseNvidia } from '../../../src/agent/hardware/nvidia.ts'
import { amdName, pciName } from '../../../src/agent/hardware/pci.ts'
import { readMeminfo, readTicks, readTraffic } from '../../../src/agent/hardware/proc.ts'
import { parseAmdSmi, parseRocmSmi } from '../../../src/agent/hardware/rocm.ts'
import { mulberry32 } from '../../../src/clock.ts'
import { fixture } from './sys.ts'

const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
const random = mulberry32(seed)
const ROUNDS = 400
const ODD = [
  '\0',
  ',',
  '"',
  '{',
  '[N/A]',
  '-1',
  '1e999',
  '99999999999999999999',
  '\n',
  'é',
  ' = {',
  '\\',
  ':',
]
const FIELDS = [
  ...['uuid', 'name', 'memory.total', 'memory.used', 'utilization.gpu', 'temperature.gpu', 'power.draw'],
  ...['power.limit', 'driver_version', 'clocks_event_reasons.active', 'mig.mode.current'],
]

function damaged(text: string): string {
  let now = text
  for (let hits = 1 + Math.floor(random() * 4); hits > 0; hits -= 1) {
    const at = Math.floor(random() * now.length)
    const end = at + Math.floor(random() * 20)
    const odd = ODD[Math.floor(random() * ODD.length)]!
    const how = Math.floor(random() * 4)
    if (how === 0) now = now.slice(0, at) + now.slice(end)
    else if (how === 1) now = now.slice(0, at) + odd + now.slice(at)
    else if (how === 2) now = now.slice(0, end) + now.slice(at)
    else now = now.slice(0, at)
  }
  return now
}

/** Every number in it is one, and not below nothing; no text is endless. */
function sound(value: unknown, path = ''): string | undefined {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? undefined : `${path}: ${value}`
  if (value === undefined) return path === '' ? undefined : `${path}: undefined`
  if (value instanceof Map) return sound([...value], path)
  if (typeof value !== 'object' || value === null) return undefined
  for (const [key, inner] of Object.entries(value)) {
    const wrong = sound(inner, `${path}.${key}`)
    if (wrong !== undefined) return wrong
  }
  return undefined
}

const readers: Readonly<
  Record<string, { readonly files: readonly string[]; readonly read: (text: string) => unknown }>
> = {
  'nvidia-smi': {
    files: ['h100', 'a100-mig-container', 'rtx3080-na', 'gb10', 'lost-one'].map(name => `nvidia/${name}.csv`),
    read: text => parseNvidia(text, FIELDS, 1),
  },
  'rocm-smi': {
    files: ['amd/rocm-smi-7900xt.out', 'amd/rocm-smi-mi250.out'],
    read: parseRocmSmi,
  },
  'amd-smi': {
    files: ['amd/amd-smi-static.out', 'amd/amd-smi-metric.out', 'amd/amd-smi-metric-apu.out'],
    read: text => parseAmdSmi(text, text),
  },
  ioreg: {
    files: ['apple/ioreg-m1-max.txt', 'apple/ioreg-intel-and-amd.txt'],
    read: text =>
      parseAccelerators(
        text,
        ['apple', 'intel', 'amd'].map(vendor => ({
          id: vendor,
          vendor,
          model: '',
          unified: false,
          driver: '',
        })),
      ),
  },
  system_profiler: {
    files: ['apple/m3-pro.out', 'apple/intel-and-amd.out'],
    read: text => {
      try {
        JSON.parse(text)
      } catch {
        return undefined
      }
      try {
        return parseProfile(text, 1_000)
      } catch (error) {
        if (error instanceof TypeError) return undefined
        throw error
      }
    },
  },
}

t.test(`damaged outputs make no figures of themselves (seed ${seed})`, async t => {
  for (const [name, { files, read }] of Object.entries(readers)) {
    const texts = await Promise.all(files.map(fixture))
    const wrong: string[] = []
    for (const text of texts) {
      t.equal(sound(read(text)), undefined, `${name}, whole`)
      for (let round = 0; round < ROUNDS; round += 1) {
        const now = damaged(text)
        const found = sound(read(now))
        if (found !== undefined) wrong.push(`${found} of ${JSON.stringify(now.slice(0, 400))}`)
      }
    }
    t.same(wrong.slice(0, 3), [], name)
  }
})

t.test(`damaged files of the system are as harmless (seed ${seed})`, async t => {
  const stat = 'cpu  3226963 260481 709286 2847151 29357 0 30938 1157 0 0\ncpu0 1 2 3 4 5 6 7 8 9 0\nintr 1\n'
  const meminfo =
    'MemTotal:       24684084 kB\nMemAvailable:   23766708 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n'
  const dev =
    ' face |bytes\n    lo: 1 2 3 4 5 6 7 8 9\n  eth0: 4591150954  140193 0 0 0 0 0 0 15800839 101346 0\n'
  const mounts =
    '27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n31 30 0:50 / /srv/a\\040b rw - nfs4 nas:/x rw\n'
  const ids =
    '1002  Advanced Micro Devices\n\t744c  Navi 31 [Radeon RX 7900 XTX]\n\t\t1002 0e3b  x\n8086  Intel\n\t1234  y\n'
  for (let round = 0; round < ROUNDS * 2; round += 1) {
    const one = sound([
      readMeminfo(damaged(meminfo)),
      readTraffic(damaged(dev)),
      findMount(damaged(mounts), '/srv/a b/c') ?? {},
      pciName(damaged(ids), '0x1002', '0x744c') ?? '',
      amdName(damaged('744C,\tC8,\tAMD Radeon RX 7900 XTX\n'), '0x744c', '0xc8') ?? '',
    ])
    if (one !== undefined) t.fail(one)
    for (const { busy, total } of readTicks(damaged(stat)).values())
      if (!Number.isFinite(busy) || !Number.isFinite(total)) t.fail(`${busy} ${total}`)
  }
  t.equal(pciName(ids, '0x1002', '0x744c'), 'Radeon RX 7900 XTX')
  t.equal(pciName(ids, '0x1002', '0x1234'), undefined, 'another vendor’s')
})
