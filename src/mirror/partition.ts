/** Which partition Kafka's own clients choose for a key: murmur2 of its bytes, without the sign. */

const SEED = 0x9747b28c
const M = 0x5bd1e995

export function partitionOf(key: string, partitions: number): number {
  return (murmur2(Buffer.from(key)) & 0x7fffffff) % partitions
}

/** Of 32 bits, as org.apache.kafka.common.utils.Utils has it. */
export function murmur2(data: Buffer): number {
  const whole = data.length & ~3
  let h = SEED ^ data.length
  for (let at = 0; at < whole; at += 4) {
    const k = Math.imul(data.readInt32LE(at), M)
    h = Math.imul(h, M) ^ Math.imul(k ^ (k >>> 24), M)
  }
  const rest = data.length & 3
  for (let at = rest - 1; at >= 0; at -= 1) h ^= data[whole + at]! << (8 * at)
  if (rest > 0) h = Math.imul(h, M)
  h = Math.imul(h ^ (h >>> 13), M)
  return h ^ (h >>> 15)
}
