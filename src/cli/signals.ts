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

/** Resolves when it is. The process stays until then, though nothing may be open that would keep it. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) return resolve()
    const stay = new MessageChannel()
    stay.port1.ref()
    signal.addEventListener(
      'abort',
      () => {
        stay.port1.close()
        resolve()
      },
      { once: true },
    )
  })
}
