/** How to kill the runner of a simulated node: it is told beforehand, and told to live on afterwards. */
import type { Dying } from './probe.ts'

/** The nodes' own addresses: the server under test may be a house in front of them. */
export function dyingAt(nodes: readonly string[]): Dying {
  const tell = (mode: string) =>
    Promise.all(
      nodes.map(async node => {
        const reply = await fetch(new URL('/sim/mode', node), {
          method: 'POST',
          body: JSON.stringify({ mode }),
        })
        if (!reply.ok)
          throw new Error(`${node} does not take the mode ${mode}: ${reply.status} ${await reply.text()}`)
      }),
    )
  return async stream => {
    await tell('runner-dies')
    try {
      return await stream(() => {})
    } finally {
      await tell('ok')
    }
  }
}
