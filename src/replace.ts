/** Files that are replaced as a whole: a crash leaves the old one or the new one, and never half of one. */
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * On the disk, by this name, once it resolves; `parts` one after another. Written beside as `<path>.new`, synced, renamed,
 * and the folder synced. Rejects with what the system says; nothing of the draft is left then.
 */
export async function replaceFile(
  path: string,
  parts: readonly (string | Uint8Array)[],
  mode = 0o644,
): Promise<void> {
  const draft = `${path}.new`
  try {
    const file = await open(draft, 'w', mode)
    try {
      for (const part of parts) await file.writeFile(part)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {})
    throw error
  }
  await syncFolder(dirname(path))
}

/** Makes what was created, renamed or removed in the folder last. */
export async function syncFolder(dir: string): Promise<void> {
  if (process.platform === 'win32') return // It cannot open a folder to sync it.
  const folder = await open(dir)
  await folder.sync().finally(() => folder.close())
}
