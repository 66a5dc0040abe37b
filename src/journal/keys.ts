/** Keys are 8-byte big-endian sequence numbers: LevelDB sorts by bytes, so the facts lie in their order. */
import { unreadable } from './damage.ts'

export function keyOf(seq: number): Buffer {
  const key = Buffer.allocUnsafe(8)
  key.writeUInt32BE(Math.floor(seq / 4_294_967_296), 0)
  key.writeUInt32BE(seq % 4_294_967_296, 4)
  return key
}

export function seqOf(key: Buffer): number {
  if (key.length !== 8) throw unreadable(`A key of ${key.length} bytes, where all have 8,`)
  return key.readUInt32BE(0) * 4_294_967_296 + key.readUInt32BE(4)
}
