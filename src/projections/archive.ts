/** Which facts are in archive files, and how far were they let go of? */
import { projection } from './projection.ts'

export interface SealedFile {
  readonly file: string
  readonly first: number
  readonly last: number
  readonly firstAt: number
  readonly lastAt: number
  readonly hash: string
  readonly bytes: number
  readonly sha256: string
  readonly sealedAt: number
}

export interface Trimmed {
  readonly until: number
  readonly hash: string
  /** The fact that says so. */
  readonly fact: number
  readonly at: number
}

interface Archive {
  /** In order, without a gap, from fact 1. */
  readonly files: SealedFile[]
  trimmed: Trimmed | undefined
}

export type ArchiveProjection = ReturnType<typeof archive>

export const archive = () =>
  projection({ files: [], trimmed: undefined } as Archive, {
    'archive.sealed': (self, { at, data }) => {
      self.files.push({ ...data, sealedAt: at })
    },
    'archive.trimmed': (self, { seq, at, data: { until, hash } }) => {
      self.trimmed = { until, hash, fact: seq, at }
    },
    'archive.rewritten': ({ files }, { data: { last, bytes, sha256 } }) => {
      const place = files.findIndex(file => file.last === last)
      files[place] = { ...files[place]!, bytes, sha256 }
    },
  })
