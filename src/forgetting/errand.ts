/**
 * Whose name a forgetting is about: a file beside the journal for as long as it takes, which nobody else may read. Without
 * it a house that was killed in the middle could not go on, and the journal may not say it.
 */
import { open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Failure } from '../failure.ts'
import { replaceFile } from '../replace.ts'

export interface Errand {
  /** Of the forgetting. */
  readonly id: string
  readonly names: readonly string[]
}

export function errandIn(dir: string) {
  const path = join(dir, 'forgetting')
  /** Written over first: what a file's name no longer leads to is still on the disk. */
  const remove = async (): Promise<void> => {
    const text = await readFile(path).catch(() => undefined)
    if (text !== undefined) await overwrite(path, Buffer.alloc(text.length))
    await rm(path, { force: true })
    await rm(`${path}.new`, { force: true })
  }
  return {
    remove,

    /** On the disk once it resolves. */
    async write(errand: Errand): Promise<Errand> {
      await replaceFile(path, [`${JSON.stringify(errand)}\n`], 0o600)
      return errand
    },

    /** Undefined where there is none. */
    async read(): Promise<Errand | undefined> {
      const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined
        throw new Failure('forgetting.unreadable', `${path} cannot be read: ${error.message}`, {
          cause: error,
        })
      })
      if (text === undefined) return undefined
      // Cut off while it was removed: written over, and its name not gone yet.
      if (text.startsWith('\0')) {
        await remove()
        return undefined
      }
      try {
        return JSON.parse(text) as Errand
      } catch (cause) {
        throw new Failure('forgetting.unreadable', `${path} is not what a forgetting leaves`, { cause })
      }
    },
  }
}

async function overwrite(path: string, content: Buffer): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
}
