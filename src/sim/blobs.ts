/** Uploaded files: their bytes are hashed as they pass, and only digest and size are kept. There is no GET. */
import { createHash } from 'node:crypto'
import { Gone } from './client.ts'
import { answering, Fault, native } from './dialect.ts'
import type { Exchange } from './exchange.ts'
import { goQuote } from './gojson.ts'
import type { SimNode } from './node.ts'
import type { Blob } from './store.ts'

const DIGEST = /^sha256[:-][0-9a-fA-F]{64}$/

export async function headBlobRoute(node: SimNode, x: Exchange): Promise<void> {
  await answering(x, native, async () => {
    checkDigest(x.param)
    if (!node.store.blobs.has(stored(x.param))) throw new Fault(404, `blob ${goQuote(x.param)} not found`)
    x.reply(200)
  })
}

export async function postBlobRoute(node: SimNode, x: Exchange): Promise<void> {
  await answering(x, native, async () => {
    checkDigest(x.param)
    if (node.store.blobs.has(stored(x.param))) {
      x.request.resume()
      return x.reply(200)
    }
    const { digest, blob } = await swallow(x)
    // Kept under its own digest even when another was promised.
    node.store.blobs.set(digest, blob)
    if (digest !== x.param)
      throw new Fault(400, `digest mismatch, expected ${goQuote(x.param)}, got ${goQuote(digest)}`)
    x.reply(201)
  })
}

async function swallow(x: Exchange): Promise<{ digest: string; blob: Blob }> {
  const sum = createHash('sha256')
  let size = 0
  let start = ''
  try {
    for await (const part of x.request as AsyncIterable<Buffer>) {
      if (start.length < 4) start += part.subarray(0, 4).toString('latin1')
      sum.update(part)
      size += part.length
    }
  } catch {
    throw new Gone()
  }
  return { digest: `sha256:${sum.digest('hex')}`, blob: { size, gguf: start.startsWith('GGUF') } }
}

export function checkDigest(digest: string): void {
  if (!DIGEST.test(digest)) throw new Fault(400, 'invalid digest format')
}

export function stored(digest: string): string {
  return digest.replace('-', ':')
}
