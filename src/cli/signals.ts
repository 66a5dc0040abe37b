/** What ends a verb that would go on by itself: Ctrl-C, or whoever started it. */

/** Aborted by the first SIGINT or SIGTERM. A second one ends the process at once, with exit code 1. */
export function interruption(): AbortSignal {
  const stop = new AbortController()
  const hear = (): void => {
    if (stop.signal.aborted) process.exit(1)
    stop.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, hear)
  return stop.signal
}

/** Resolves when it is. The process stays until then. */
export function aborted(signal: AbortSignal): Promise<void> {
  return stayingFor(
    new Promise(resolve => {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => resolve(), { once: true })
    }),
  )
}

/** Keeps the process until the promise has settled, though nothing may be open that would. */
export async function stayingFor<T>(promise: Promise<T>): Promise<T> {
  const stay = new MessageChannel()
  stay.port1.ref()
  try {
    return await promise
  } finally {
    stay.port1.close()
  }
}
