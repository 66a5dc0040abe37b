/**
 * The house's own secret: 32 bytes in the data folder that nobody else may read. With it are keyed the digests that
 * stand in facts, so that a copy of the journal alone does not tell who guessed a key or a prompt right.
 */
import { randomBytes } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from './failure.ts'
import { replaceFile } from './replace.ts'

const SECRET_BYTES = 32

/** Makes it where it is not there yet. Throws a Failure `secret.unreadable`. */
export async function openSecret(dir: string, name = 'secret'): Promise<Buffer> {
  const path = join(dir, name)
  try {
    const found = await readFile(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined
      throw error
    })
    if (found === undefined) return await make(dir, path)
    if (found.length === SECRET_BYTES) return found
  } catch (cause) {
    const why = (cause as Error).message
    throw new Failure('secret.unreadable', `the house's secret cannot be read or made: ${why}`, { cause })
  }
  throw new Failure('secret.unreadable', `${path} holds no secret of ${SECRET_BYTES} bytes`)
}

async function make(dir: string, path: string): Promise<Buffer> {
  const secret = randomBytes(SECRET_BYTES)
  await mkdir(dir, { recursive: true })
  await replaceFile(path, [secret], 0o600)
  return secret
}
