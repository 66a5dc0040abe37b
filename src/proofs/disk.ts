/** The files beside the journal that checkpoints need: replaced as a whole, so that a crash leaves the old or the new. */
import { mkdir, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Failure } from '../failure.ts'
import { replaceFile as replace, syncFolder } from '../replace.ts'

/** For the house's own user alone. */
export const SECRET_MODE = 0o600

/** Undefined where there is no such file. Rejects with a Failure `checkpoint.disk`. */
export async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw diskFailure(path, error)
  }
}

/** On the disk, by this name, once it resolves. Rejects with a Failure `checkpoint.disk`. */
export async function replaceFile(path: string, text: string, mode?: number): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true })
    await replace(path, [text], mode)
  } catch (error) {
    throw diskFailure(path, error)
  }
}

export async function moveFile(from: string, to: string): Promise<void> {
  try {
    await rename(from, to)
    await syncFolder(dirname(to))
  } catch (error) {
    throw diskFailure(to, error)
  }
}

export function diskFailure(path: string, cause: unknown): Failure {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new Failure('checkpoint.disk', `${path} cannot be used: ${why}`, { retryable: true, cause })
}
