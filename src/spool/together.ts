/** Two ways to go easy on the disk: many who want the same share it, and of many who want their own a few go at once. */

/**
 * One deed for all who ask for it at about the same time. Who comes while it is being done shares the next one, so
 * everyone's begins after they asked: a thousand who want the same file synced cost two syncs.
 */
export function together(deed: () => Promise<void>): () => Promise<void> {
  let gathering: Promise<void> | undefined
  let last: Promise<unknown> = Promise.resolve()
  return () => {
    gathering ??= last
      .catch(() => {})
      // Once this turn is over, so that all that it asks goes together.
      .then(() => new Promise(resolve => setImmediate(resolve)))
      .then(() => {
        gathering = undefined
        return deed()
      })
    last = gathering
    return gathering
  }
}

/** At most `max` at once; the others wait, in the order they came. */
export function turns(max: number): <T>(work: () => Promise<T>) => Promise<T> {
  let free = max
  const waiting: (() => void)[] = []
  return async work => {
    if (free > 0) free -= 1
    else await new Promise<void>(resolve => waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) free += 1
      else next()
    }
  }
}
