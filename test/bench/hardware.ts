/**
 * What it costs to know how busy a machine is, at the default interval of 5 s: processor of this process and of the programs
 * that it starts, as a share of one core. Nobody waits for the intervals: a clock skips what is left of each once everything
 * that was begun in it has come back, so that a quarter of an hour takes seconds, and every read that would be due is made.
 */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { ROOTS, type Roots } from '../../src/agent/hardware/files.ts'
import { openMachine } from '../../src/agent/hardware/machine.ts'
import { openTools, type Tools } from '../../src/agent/hardware/tools.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import { unpack } from '../agent/hardware/sys.ts'
import type { Row } from './row.ts'

const INTERVAL_MS = 5_000
const INTERVALS = 300
const FIXTURES = join(import.meta.dirname, '../agent/hardware/fixtures')
const NVIDIA = ['vendor = 0x10de', 'class = 0x030200', 'device = 0x2330']

export async function hardwareBench(): Promise<Row[]> {
  const dir = await mkdtemp(join(tmpdir(), 'quipu-bench-'))
  try {
    const nvidia = join(dir, 'nvidia')
    for (let i = 0; i < 4; i += 1)
      for (const line of NVIDIA) await unpack(nvidia, `bus/pci/devices/0000:${i}9:00.0/${line}`)
    const amd = join(dir, 'amd')
    for (const name of ['rx6800', 'raphael'])
      await unpack(
        amd,
        (await readFile(join(FIXTURES, `amd/${name}.sys`), 'utf8')).replace(/^bus\/pci\/drivers.*$/m, ''),
      )
    await program(dir, 'quick', `exec cat ${FIXTURES}/nvidia/h100.csv`)
    // As one whose driver must wake up first: a loop of the shell that adds up to some 100 ms.
    await program(
      dir,
      'slow',
      `i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exec cat ${FIXTURES}/nvidia/h100.csv`,
    )
    return [
      await measured('this machine, no GPU', dir),
      await measured('four cards, nvidia-smi quick', join(dir, 'quick'), { sys: nvidia }),
      await measured('four cards, nvidia-smi slow', join(dir, 'slow'), { sys: nvidia }),
      await measured('two of AMD’s, by the driver’s files', dir, { sys: amd, root: dir }),
    ]
  } finally {
    await rm(dir, { recursive: true })
  }
}

async function measured(name: string, folder: string, roots: Partial<Roots> = {}): Promise<Row> {
  const clock = skipping()
  const begun: Promise<unknown>[] = []
  const inner = openTools({ folders: [folder, '/usr/bin', '/bin'] })
  let runs = 0
  const tools: Tools = {
    running: 0,
    find: inner.find,
    run(tool, args, signal) {
      runs += 1
      const run = inner.run(tool, args, signal)
      begun.push(run.catch(() => {}))
      return run
    },
  }
  const warnings: string[] = []
  const machine = openMachine({
    clock,
    models: tmpdir(),
    tools,
    roots: { ...ROOTS, ...roots },
    warn: message => warnings.push(message),
  })
  await machine.equipment()
  runs = 0
  const before = await processorS()
  let longestMs = 0
  for (let i = 0; i < INTERVALS; i += 1) {
    const at = performance.now()
    // What an agent does each time: equipment is told again where it differs.
    await machine.load()
    await machine.equipment()
    longestMs = Math.max(longestMs, performance.now() - at)
    // Programs are begun once the list of cards is there; after that, what they printed is read.
    await sleep(20)
    await Promise.all(begun.splice(0))
    await sleep(5)
    clock.skipTo((i + 1) * INTERVAL_MS)
  }
  const [own, children] = await processorS()
  machine.close()
  if (warnings.length > 0) throw new Error(warnings.join('; '))
  const seconds = (INTERVALS * INTERVAL_MS) / 1_000
  const [ownS, childrenS] = [own - before[0], children - before[1]]
  return {
    name: `collection, every 5 s: ${name}`,
    value: ((ownS + childrenS) / seconds) * 100,
    unit: '% core',
    note: `${((ownS / INTERVALS) * 1_000).toFixed(2)} ms a time, and ${runs} runs of programs with ${
      runs === 0 ? '–' : ((childrenS / runs) * 1_000).toFixed(1)
    } ms each; the longest answer took ${longestMs.toFixed(1)} ms`,
  }
}

async function program(dir: string, kind: string, script: string): Promise<void> {
  await unpack(dir, `${kind}/nvidia-smi =`)
  await writeFile(join(dir, kind, 'nvidia-smi'), `#!/bin/sh\n${script}\n`)
  await chmod(join(dir, kind, 'nvidia-smi'), 0o755)
}

/** The real time, plus what was skipped. */
function skipping(): Clock & { skipTo(ms: number): void } {
  const began = performance.now()
  let skippedMs = 0
  const monotonic = (): number => performance.now() - began + skippedMs
  return {
    ...systemClock,
    monotonic,
    skipTo(ms) {
      skippedMs += Math.max(ms - monotonic(), 0)
    },
  }
}

/** Seconds of processor: of this process with all its threads, and of its children that are over. */
async function processorS(): Promise<[own: number, children: number]> {
  const { user, system } = process.cpuUsage()
  // Fields 16 and 17, in hundredths of a second; the second field, the name, may have spaces and ends with a bracket.
  const fields = (await readFile('/proc/self/stat', 'utf8')).replace(/^.*\) /, '').split(' ')
  return [(user + system) / 1e6, (Number(fields[13]) + Number(fields[14])) / 100]
}
