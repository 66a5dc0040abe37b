/** Which keys have signed for this journal, and until when each? */
import { projection } from './projection.ts'

export interface SignerKey {
  readonly vkey: string
  /** The fact that names it. */
  readonly seq: number
  readonly at: number
  /** The fact that put another one in its place; it signs nothing that goes so far. */
  readonly untilSeq?: number
  /** By the key before it, over this one (base64); not there for the first, and where the one before was lost. */
  readonly endorsement?: string
}

export type SignersProjection = ReturnType<typeof signers>

/** Of more rotations than anybody makes, the last ones. */
const KEPT_MAX = 1_000

/** Oldest first. */
export const signers = () =>
  projection(
    { keys: [] as SignerKey[] },
    {
      'signer.created': (self, { seq, at, data: { vkey } }) => {
        self.keys.push({ vkey, seq, at })
      },
      'signer.rotated': (self, { seq, at, data: { vkey, endorsement } }) => {
        const before = self.keys.pop()
        if (before !== undefined) self.keys.push({ ...before, untilSeq: seq })
        self.keys.push({ vkey, seq, at, ...(endorsement !== undefined && { endorsement }) })
        if (self.keys.length > KEPT_MAX) self.keys.shift()
      },
    },
  )
