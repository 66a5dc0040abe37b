/** The spool's way to files: writes whole, reads whole, syncs folders. Foreign errors become Failures here. */
import type { FileHandle } from 'node:fs/promises'
import { Failure } from '../failure.ts'

/** For the house's own user alone. */
export const FILE_MODE = 0o600
export const FOLDER_MODE = 0o700

/** All of `bytes` at `position`: a disk that is about to be full takes a part, and only then says no. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, position + done)
    done += bytesWritten
  }
}

/** `length` bytes from `position`, or those there are. */
export async function readUpTo(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return bytes.subarray(0, done)
}

/** What the disk said, as a Failure `spool.disk`; everything else as it is. */
export function diskFailure(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || (error as NodeJS.ErrnoException).errno === undefined) return error
  const full = ['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')
  const remedy = full ? ' Make room on that disk.' : ''
  return new Failure('spool.disk', `${path} cannot be used: ${error.message}.${remedy}`, {
    retryable: true,
    cause: error,
  })
}

/** What is stored is not what was written. */
export function damaged(path: string, why: string, cause?: unknown): Failure {
  return new Failure('spool.damaged', `${path} is damaged: ${why}. Look at the disk.`, { cause })
}

/** It was dropped or erased, so there is nothing to read and nowhere to write. */
export function gone(what: string): Failure {
  return new Failure('spool.gone', `${what} was dropped or erased.`)
}

export function closed(): Failure {
  return new Failure('spool.closed', 'The spool is closed.', { retryable: true })
}
