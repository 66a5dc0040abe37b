/** The files beside the journal that checkpoints need: replaced as a whole, so that a crash leaves the old or the new. */
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Failure } from '../failure.ts'

/** For the house's own user alone. */
export const SECRET_MODE = 0o600
const OPEN_MODE = 0o644

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
export async function replaceFile(path: string, text: string, mode = OPEN_MODE): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true })
    const draft = await open(`${path}.new`, 'w', mode)
    try {
      await draft.writeFile(text)
      await draft.sync()
    } finally {
      await draft.close()
    }
    await rename(`${path}.new`, path)
    await syncFolder(dirname(path))
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

async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return // It cannot open a folder to sync it.
  const folder = await open(dir)
  await folder.sync().finally(() => folder.close())
}

export function diskFailure(path: string, cause: unknown): Failure {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new Failure('checkpoint.disk', `${path} cannot be used: ${why}`, { retryable: true, cause })
}
