/** Waiting for a journal to grow, without asking it again and again. */
import type { Clock } from '../clock.ts'
import type { Journal } from '../journal/journal.ts'

/**
 * Resolves when the journal has something new (or has closed, or writes again), when the time is up, or with the
 * signal. Whoever else may call is put into `callers` meanwhile.
 */
export function news(
  { clock, journal }: { readonly clock: Clock; readonly journal: Pick<Journal, 'watch'> },
  { ms, signal, callers }: { ms?: number; signal: AbortSignal; callers?: Set<() => void> },
): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise(resolve => {
    const wake = (): void => {
      timer?.cancel()
      unwatch()
      signal.removeEventListener('abort', wake)
      callers?.delete(wake)
      resolve()
    }
    const timer = ms === undefined ? undefined : clock.after(ms, wake)
    const unwatch = journal.watch(wake)
    signal.addEventListener('abort', wake)
    callers?.add(wake)
  })
}
