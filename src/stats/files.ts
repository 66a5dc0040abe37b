/**
 * The figures on disk: a file for each step (`10s`, `5m`, `1h`), written anew as a whole and then put in the place of
 * the old one, so that there is always a whole one.
 *
 *   {"quipu":"server_stats","format":1,"stepMs":10000,"kept":360}⏎
 *   {"server":"http://gpu-a:11434","type":"load","latest":176543210}⏎ and 360 numbers of 4 bytes (IEEE 754, little-endian)
 *   …
 *   {"sha256":"…"}⏎ of all that stands before
 */
import { createHash } from 'node:crypto'
import { open, readFile, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncFolder } from '../replace.ts'
import { Ring, type Step } from './series.ts'

export interface KeptRing {
  readonly server: string
  readonly type: string
  readonly ring: Ring
}

const FORMAT = 1
const HEAD_BYTES_MAX = 4_096

/** Writes the rings that have a value. Rejects with what the system says; the old file is then still there. */
export async function writeRings(path: string, step: Step, rings: Iterable<KeptRing>): Promise<void> {
  const hash = createHash('sha256')
  const draft = `${path}.new`
  const file = await open(draft, 'w')
  try {
    const put = async (bytes: Buffer): Promise<void> => {
      hash.update(bytes)
      await file.write(bytes)
    }
    const { ms: stepMs, kept } = step
    await put(line({ quipu: 'server_stats', format: FORMAT, stepMs, kept }))
    // One at a time: a large fleet has megabytes of it, and requests go first.
    for (const { server, type, ring } of rings) {
      if (ring.latest === -1) continue
      const { buffer, byteOffset, byteLength } = ring.values
      const head = line({ server, type, latest: ring.latest })
      await put(Buffer.concat([head, Buffer.from(buffer, byteOffset, byteLength)]))
    }
    await file.write(line({ sha256: hash.digest('hex') }))
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(draft, path)
  await syncFolder(dirname(path))
}

/** What the file holds; nothing where there is none. Rejects with an Error that says why it cannot be read. */
export async function readRings(path: string, step: Step, ringsMax: number): Promise<readonly KeptRing[]> {
  const size = await stat(path).then(
    ({ size }) => size,
    absent => {
      if (absent.code === 'ENOENT') return 0
      throw absent
    },
  )
  if (size === 0) return []
  const valueBytes = step.kept * Float32Array.BYTES_PER_ELEMENT
  if (size > (ringsMax + 2) * (valueBytes + HEAD_BYTES_MAX)) throw new Error('it is too large')
  const bytes = await readFile(path)
  let at = 0
  const next = (): Record<string, unknown> => {
    const end = bytes.indexOf(0x0a, at)
    if (end === -1) throw new Error('it has no end')
    const text = bytes.toString('utf8', at, end)
    at = end + 1
    return JSON.parse(text)
  }
  const head = next()
  if (head.quipu !== 'server_stats' || head.format !== FORMAT) throw new Error('it has another format')
  if (head.stepMs !== step.ms || head.kept !== step.kept) throw new Error('it has other steps')
  const found: KeptRing[] = []
  for (;;) {
    const before = at
    const row = next()
    if ('sha256' in row) {
      const hash = createHash('sha256').update(bytes.subarray(0, before)).digest('hex')
      if (row.sha256 !== hash) throw new Error('its checksum is wrong')
      return found
    }
    // A copy, for its place in the file need not be a multiple of four. What is wrong in it, the checksum shows.
    const values = new Float32Array(new Uint8Array(bytes.subarray(at, at + valueBytes)).buffer)
    at += valueBytes
    const { server, type, latest } = row as { server: string; type: string; latest: number }
    if (values.length === step.kept) found.push({ server, type, ring: new Ring(step, values, latest) })
  }
}

function line(value: object): Buffer {
  return Buffer.from(`${JSON.stringify(value)}\n`)
}
