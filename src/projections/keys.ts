/** Which request did an Idempotency-Key bring, and with which body? */
import { projection } from './projection.ts'

export interface Keyed {
  readonly id: string
  readonly bodyDigest: string
}

interface Keys {
  /** By keyed digest; see gateway/jobs/digests.ts. */
  readonly byKey: Map<string, Keyed>
  readonly byRequest: Map<string, string>
}

export type KeysProjection = ReturnType<typeof keys>

/**
 * A key is kept as long as its answer. What ended without one the house may be asked again under the same key: nothing
 * was promised that could come twice.
 */
export const keys = () =>
  projection({ byKey: new Map(), byRequest: new Map() } as Keys, {
    'request.admitted': (self, { id, data: { key, bodyDigest = '' } }) => {
      if (key === undefined) return
      self.byKey.set(key, { id, bodyDigest })
      self.byRequest.set(id, key)
    },
    'request.failed': forget,
    'request.expired': forget,
    'request.cancelled': forget,
    'spool.erased': forget,
  })

function forget(self: Keys, { id }: { readonly id: string }): void {
  const key = self.byRequest.get(id)
  if (key === undefined) return
  self.byRequest.delete(id)
  if (self.byKey.get(key)?.id === id) self.byKey.delete(key)
}
